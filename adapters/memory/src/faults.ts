import type { Delivery, ErrorCode } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import type { MemoryBroker } from './broker.ts';
import { Receipt } from './delivery.ts';
import { BrokerError } from './errors.ts';

/** The next so many, or each with a probability, drawn from a seeded sequence so that a run can be repeated. */
export type Share = { readonly next: number } | { readonly probability: number; readonly seed: number };

/** What a fault makes of one message of a publish. */
export type PublishFault = {
  readonly outcome: 'rejected' | 'unknown';
  readonly stored: boolean;
  readonly error: BrokerError;
};

export type Operation = 'publish' | 'receive' | 'settle';

/**
 * Everything that can go wrong with a broker, on demand. An adapter is named by the object itself. All of it is off
 * until switched on; `clear` switches all off again.
 */
export class Faults {
  readonly #broker: MemoryBroker;
  readonly #stalled = new Set<Operation>();
  readonly #killed = new WeakSet<object>();
  #resumed: (() => void)[] = [];
  #latency = 0;
  #refuseUntil = 0;
  #duplicates = 0;
  #publish: { take: () => boolean; fault: PublishFault }[] = [];
  #shuffle: (() => number) | null = null;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
  }

  /** The adapter's connection breaks. What it held is given back at once; it may connect again. */
  cut(adapter: object): void {
    for (const connection of this.#broker.connectionsOf(adapter)) connection.cut();
  }

  /** The adapter's process dies: it can do nothing any more, and what it held stays so until its session ends. */
  kill(adapter: object): void {
    this.#killed.add(adapter);
    for (const connection of this.#broker.connectionsOf(adapter)) connection.kill();
  }

  /** The broker stops and starts: every connection breaks, everything confirmed is kept. */
  restart(): void {
    for (const connection of this.#broker.connections) connection.cut();
  }

  /** Connects fail for so long; 0 ends it. */
  refuseConnects(ms: number): void {
    this.#refuseUntil = this.#broker.clock.monotonic() + ms;
  }

  /** Every publish, receive and settle takes this much longer; half before it takes effect, half after. 0 ends it. */
  slow(ms: number): void {
    this.#latency = ms;
  }

  /** Publishes and settles get no answer and have no effect, receives bring nothing, until `resume`. */
  stall(...operations: readonly Operation[]): void {
    for (const operation of operations) this.#stalled.add(operation);
  }

  resume(): void {
    this.#stalled.clear();
    const resumed = this.#resumed;
    this.#resumed = [];
    for (const go of resumed) go();
    this.#broker.wakeAll();
  }

  /** The next `count` deliveries come a second time, the first receipt being void. */
  duplicate(count: number): void {
    this.#duplicates = count;
  }

  /** Publishes end `unknown`, stored or not. */
  unknownPublish(which: Share, stored: boolean): void {
    const error = new BrokerError('timeout', 'no answer to the publish (a fault on demand)');
    this.#publish.push({ take: sharer(which), fault: { outcome: 'unknown', stored, error } });
  }

  /** Publishes end `rejected` with this code. */
  rejectPublish(which: Share, code: ErrorCode): void {
    const error = new BrokerError(code, `the publish is refused as '${code}' (a fault on demand)`);
    this.#publish.push({ take: sharer(which), fault: { outcome: 'rejected', stored: false, error } });
  }

  /** The lease of this delivery ends now. Returns false if it was not held. */
  loseLease(delivery: { readonly receipt: unknown }): boolean {
    const { receipt } = delivery;
    if (!(receipt instanceof Receipt) || receipt.state !== 'held') return false;
    receipt.owner?.lose(receipt);
    return true;
  }

  /** Each receive of an unordered destination comes shuffled, by this seed; null ends it. */
  reorder(seed: number | null): void {
    this.#shuffle = seed === null ? null : random(seed);
  }

  /** Switches everything off. Killed adapters stay dead. */
  clear(): void {
    this.#latency = 0;
    this.#refuseUntil = 0;
    this.#duplicates = 0;
    this.#publish = [];
    this.#shuffle = null;
    this.resume();
  }

  /** @internal Whether a connect must fail. */
  connectError(adapter: object): BrokerError | null {
    if (this.#killed.has(adapter))
      return new BrokerError('disconnected', 'this process was killed (a fault on demand)');
    if (this.#broker.clock.monotonic() >= this.#refuseUntil) return null;
    return new BrokerError('disconnected', 'connection refused (a fault on demand)');
  }

  /** @internal Null when nothing holds the operation up; that is the hot path. */
  pause(operation: Operation, connection: Connection, signal?: AbortSignal): Promise<void> | null {
    if (this.#latency === 0 && this.#stalled.size === 0) return null;
    return this.#pause(operation, connection, signal);
  }

  async #pause(operation: Operation, connection: Connection, signal: AbortSignal | undefined): Promise<void> {
    const half = this.#latency / 2;
    if (half > 0) await connection.orLost((done) => this.#broker.clock.setTimer(done, half), signal);
    if (operation === 'receive') return; // polls come back empty instead
    while (this.stalls(operation)) await connection.orLost((done) => this.#resumed.push(done), signal);
  }

  /** @internal */
  stalls(operation: Operation): boolean {
    return this.#stalled.size > 0 && this.#stalled.has(operation);
  }

  /** @internal The fault of the next message published, if any. */
  nextPublish(): PublishFault | null {
    if (this.#publish.length === 0) return null;
    return this.#publish.find(({ take }) => take())?.fault ?? null;
  }

  /** @internal What becomes of a receive's deliveries. */
  touch(deliveries: Delivery[], ordered: boolean): void {
    if (this.#shuffle !== null && !ordered) {
      for (let at = deliveries.length - 1; at > 0; at--) {
        const other = Math.floor(this.#shuffle() * (at + 1));
        [deliveries[at], deliveries[other]] = [deliveries[other] as Delivery, deliveries[at] as Delivery];
      }
    }
    for (let at = 0; at < deliveries.length && this.#duplicates > 0; at++) {
      if (this.loseLease(deliveries[at] as Delivery)) this.#duplicates--;
    }
  }
}

function sharer(which: Share): () => boolean {
  if ('next' in which) {
    let left = which.next;
    return () => left > 0 && left-- > 0;
  }
  const draw = random(which.seed);
  return () => draw() < which.probability;
}

/** mulberry32: 0 to 1, the same sequence for the same seed. */
function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
