import {
  type AdapterSubscription,
  type Delivery,
  Inbox,
  patiently,
  type Receipt,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import type { Source } from './delivery.ts';
import type { Outlived } from './outlived.ts';
import { settle, Tap, type TapDelivery, type TapReceipt } from './tap.ts';

/** What a receive waits for one. */
const ANSWER = 900;

export interface SubscriptionOptions {
  readonly connection: Connection;
  readonly spec: Pick<SubscriptionSpec, 'prefetch' | 'onLost'>;
  readonly source: Source;
  readonly outlived: Outlived;
}

/**
 * Competing consumers on one queue. While core receives, the server pushes up to the prefetch; before that, and after
 * something was given back, messages are fetched one by one, so that a message that kills is not counted together with
 * its neighbours.
 */
export class RabbitSubscription implements AdapterSubscription {
  readonly #spec: SubscriptionOptions['spec'];
  readonly #source: Source;
  #tap!: Tap;
  #inbox = new Inbox<TapDelivery>();
  #state: 'idle' | 'fetching' | 'consuming' = 'idle';
  #stopping: Promise<void> | null = null;
  #signal: AbortSignal | null = null;
  #failure: { readonly error: unknown } | null = null;
  #closing: Promise<void> | null = null;

  private constructor({ spec, source }: SubscriptionOptions) {
    this.#spec = spec;
    this.#source = source;
  }

  static async open(options: SubscriptionOptions): Promise<RabbitSubscription> {
    const subscription = new RabbitSubscription(options);
    const tap = await Tap.open({ ...options, onEnd: (error) => subscription.#fail(error) });
    subscription.#tap = tap;
    await tap.check();
    return subscription;
  }

  get closed(): boolean {
    return this.#closing !== null || this.#failure !== null;
  }

  /** Held by core, and not settled. */
  get handed(): number {
    return this.#tap.unsettled - this.#inbox.size;
  }

  /** Of the prefetch, what core does not hold: the server may push it at any time. */
  get reserved(): number {
    if (this.closed || this.#state === 'idle') return 0;
    return Math.max(0, this.#spec.prefetch - this.handed);
  }

  get unsettled(): number {
    return this.closed ? 0 : this.#tap.unsettled;
  }

  async receive(max: number, signal: AbortSignal): Promise<Delivery[]> {
    if (this.#closing !== null) throw new WaybillError('closed', 'rabbitmq: the subscription is closed');
    if (this.#failure !== null) throw this.#failure.error;
    this.#heed(signal);
    if (this.#stopping !== null) {
      await patiently(this.#stopping, ANSWER, signal);
      return [];
    }
    if (this.#state === 'idle') {
      const first = await this.#fetch();
      if (signal.aborted) await this.#stop();
      if (first !== null) return [first];
    }
    return this.#inbox.receive(max, signal, ANSWER);
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    return settle(receipts as readonly TapReceipt[]);
  }

  /** The server would push it back at once, so pushing ends first; the next receive begins anew. */
  async nack(receipts: readonly Receipt[]): Promise<void> {
    await this.#stop();
    this.#tap.giveBack(
      (receipts as readonly TapReceipt[]).filter(({ tap }) => tap === this.#tap).map(({ tag }) => tag),
    );
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#stopNow);
    this.#inbox.close();
    await this.#tap.close();
  }

  /** One message alone. If it is none that was handed out before, the server pushes from now on. */
  async #fetch(): Promise<Delivery | null> {
    this.#state = 'fetching';
    try {
      const delivery = this.#source.counted ? await this.#tap.get() : null;
      if (delivery === null || (delivery.deliveryCount ?? 0) < this.#source.suspect) await this.#consume();
      else this.#state = 'idle';
      return delivery;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async #consume(): Promise<void> {
    const inbox = new Inbox<TapDelivery>();
    this.#inbox = inbox;
    const gone = new WaybillError(
      'not-found',
      `rabbitmq: the server has ended the consumer of '${this.#source.queue}'`,
    );
    await this.#tap.consume(
      this.#spec.prefetch,
      null,
      (delivery) => inbox.push(delivery),
      () => this.#fail(gone),
    );
    this.#state = 'consuming'; // not before: a consumer that has no answer yet can't be cancelled
  }

  /** A signal that fires means that nothing more is wanted for now: what the server pushed is for others. */
  #heed(signal: AbortSignal): void {
    if (signal === this.#signal) return;
    this.#signal?.removeEventListener('abort', this.#stopNow);
    this.#signal = signal;
    signal.addEventListener('abort', this.#stopNow, { once: true });
  }

  readonly #stopNow = (): void => void this.#stop();

  #stop(): Promise<void> {
    if (this.#state !== 'consuming' || this.closed) return this.#stopping ?? Promise.resolve();
    return (this.#stopping ??= this.#stopConsuming().finally(() => (this.#stopping = null)));
  }

  async #stopConsuming(): Promise<void> {
    try {
      await this.#tap.cancel();
      const unread = this.#inbox.close();
      this.#inbox = new Inbox();
      this.#state = 'idle';
      this.#tap.giveBack(unread.map(({ receipt }) => receipt.tag).toReversed());
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.closed) return;
    this.#failure = { error };
    this.#signal?.removeEventListener('abort', this.#stopNow);
    this.#inbox.fail(error);
    void this.#tap.close();
    this.#spec.onLost([this.#source.partition]);
  }
}
