import type { MemoryBroker } from './broker.ts';
import { BrokerError } from './errors.ts';
import type { MemorySubscription } from './subscription.ts';

/** One adapter's connection to a broker. It has one life. */
export class Connection {
  readonly broker: MemoryBroker;
  /** The adapter object, by which faults name the connection. */
  readonly owner: object;
  readonly subscriptions: Set<MemorySubscription> = new Set();
  readonly #onLost = new Set<(error: BrokerError) => void>();
  /** Why it is over; null while it stands. */
  error: BrokerError | null = null;

  constructor(broker: MemoryBroker, owner: object) {
    this.broker = broker;
    this.owner = owner;
  }

  /** @throws BrokerError when the connection is over. */
  check(): void {
    if (this.error !== null) throw this.error;
  }

  async close(): Promise<void> {
    if (this.error !== null) return;
    await Promise.all([...this.subscriptions].map((subscription) => subscription.close()));
    this.#end(new BrokerError('closed', 'the connection was closed'));
  }

  cut(): void {
    this.#drop(new BrokerError('disconnected', 'the connection was lost (a fault on demand)'), false);
  }

  kill(): void {
    this.#drop(new BrokerError('disconnected', 'this process was killed (a fault on demand)'), true);
  }

  /** Waits for what `start` reports as done; rejects when the connection is lost or the signal aborted first. */
  orLost(start: (done: () => void) => unknown, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        this.#onLost.delete(lost);
        signal?.removeEventListener('abort', aborted);
      };
      const lost = (error: unknown): void => {
        settled();
        reject(error);
      };
      const aborted = (): void => lost(new BrokerError('timeout', 'aborted while waiting for the broker'));
      if (signal?.aborted === true) return aborted();
      this.#onLost.add(lost);
      signal?.addEventListener('abort', aborted);
      start(() => {
        settled();
        resolve();
      });
    });
  }

  #drop(error: BrokerError, killed: boolean): void {
    if (this.error !== null) return;
    const subscriptions = [...this.subscriptions];
    this.#end(error);
    for (const subscription of subscriptions) subscription.drop(error, killed);
  }

  #end(error: BrokerError): void {
    this.error = error;
    this.broker.detach(this);
    for (const lost of this.#onLost) lost(error);
  }
}
