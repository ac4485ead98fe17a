import {
  type AdapterSubscription,
  type Delivery,
  Inbox,
  type Receipt,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { deliveryOf, isSuspect, type Source, type TapDelivery } from './delivery.ts';
import { patiently } from './patience.ts';
import { Tap, type TapReceipt } from './tap.ts';

/** What a receive waits for one. */
const ANSWER = 900;
/** What a queue that is looked into by itself gets to show its first message. */
const GLANCE = 100;

export interface OrderedSource extends Source {
  /** How strongly this consumer is drawn to the partition, from servers that heed it on; else null. */
  readonly priority: number | null;
}

export interface OrderedOptions {
  readonly connection: Connection;
  readonly spec: Pick<SubscriptionSpec, 'prefetch' | 'onLost'>;
  readonly sources: readonly OrderedSource[];
}

/**
 * A consumer of every partition's queue, each of which has one active consumer at a time. A consumer that was cancelled
 * may still hold what the next one must wait for, so the channel is closed instead: then all goes back at once, in order.
 *
 * A message that was handed out several times before may be what killed the consumers (R10). When one comes, the
 * channel is closed as soon as core holds nothing, and the queues are looked into one after another, one message at a
 * time, so that none is counted together with it; then all of them are consumed again.
 */
export class OrderedSubscription implements AdapterSubscription {
  readonly #connection: Connection;
  readonly #spec: OrderedOptions['spec'];
  readonly #sources: readonly OrderedSource[];
  /** Of each queue. */
  readonly #window: number;
  #tap: Tap | null = null;
  #inbox = new Inbox<TapDelivery>();
  /** Given back by core, in order: nobody else may have it while this consumer is the active one. */
  #returned: TapDelivery[] = [];
  readonly #handed = new Map<number, TapDelivery>();
  /** Which of the queues is looked into by itself; null while all are consumed. */
  #glance: number | null = null;
  /** Whether that queue has shown a message that is no suspect. */
  #glanced = false;
  #paused = false;
  #onSettled: (() => void) | null = null;
  #signal: AbortSignal | null = null;
  #failure: { readonly error: unknown } | null = null;
  #closing: Promise<void> | null = null;

  private constructor({ connection, spec, sources }: OrderedOptions) {
    this.#connection = connection;
    this.#spec = spec;
    this.#sources = sources;
    this.#window = Math.max(1, Math.floor(spec.prefetch / sources.length));
  }

  static async open(options: OrderedOptions): Promise<OrderedSubscription> {
    const subscription = new OrderedSubscription(options);
    await subscription.#open(subscription.#sources, subscription.#window);
    return subscription;
  }

  get closed(): boolean {
    return this.#closing !== null || this.#failure !== null;
  }

  get unsettled(): number {
    return this.closed ? 0 : (this.#tap?.unsettled ?? 0);
  }

  /** Of the prefetch, what core does not hold: the server may push it at any time. */
  get reserved(): number {
    if (this.closed || this.#paused || this.#tap === null) return 0;
    return Math.max(0, this.#window * this.#sources.length - this.#handed.size);
  }

  async receive(max: number, signal: AbortSignal): Promise<Delivery[]> {
    if (this.#closing !== null) throw new WaybillError('closed', 'rabbitmq: the subscription is closed');
    if (this.#failure !== null) throw this.#failure.error;
    this.#heed(signal);
    this.#paused = false;
    const deliveries = this.#glance === null ? await this.#take(max, signal) : await this.#look(this.#glance, signal);
    for (const delivery of deliveries) this.#handed.set(delivery.receipt.tag, delivery);
    return deliveries;
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    const mine = receipts as readonly TapReceipt[];
    const results = this.#tap?.ack(mine) ?? mine.map(() => 'lost' as const);
    for (const { tap, tag } of mine) if (tap === this.#tap) this.#handed.delete(tag);
    if (this.#handed.size === 0) this.#onSettled?.();
    return results;
  }

  async nack(receipts: readonly Receipt[]): Promise<void> {
    for (const { tap, tag } of receipts as readonly TapReceipt[]) {
      const delivery = tap === this.#tap ? this.#handed.get(tag) : undefined;
      if (delivery === undefined) continue;
      this.#handed.delete(tag);
      this.#returned.push(delivery);
    }
    this.#returned.sort((a, b) => a.receipt.tag - b.receipt.tag);
    this.#paused = true; // who gives back wants nothing more for now
    if (this.#handed.size === 0) this.#onSettled?.();
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#pause);
    this.#inbox.close();
    await this.#tap?.close();
  }

  async #take(max: number, signal: AbortSignal): Promise<TapDelivery[]> {
    if (this.#tap === null) await this.#open(this.#sources, this.#window);
    const deliveries =
      this.#returned.length > 0 ? this.#returned.splice(0, max) : await this.#inbox.receive(max, signal, ANSWER);
    if (!deliveries.some(isSuspect)) return deliveries;
    this.#glance = -1;
    this.#returned.unshift(...deliveries); // they go back with all that core does not hold
    return [];
  }

  /** Looks into one queue after another, one message at a time, until its first message is no suspect. */
  async #look(at: number, signal: AbortSignal): Promise<TapDelivery[]> {
    if (this.#handed.size > 0) {
      await patiently(new Promise<void>((resolve) => (this.#onSettled = resolve)), ANSWER, signal);
      return [];
    }
    if (this.#tap !== null && at >= 0) {
      const again = this.#returned.splice(0, 1);
      const [next] = again.length > 0 ? again : await this.#inbox.receive(1, signal, GLANCE);
      if (signal.aborted) return next === undefined ? [] : [next];
      if (next !== undefined && (isSuspect(next) || again.length > 0 || !this.#glanced)) {
        this.#glanced = !isSuspect(next);
        return [next];
      }
    }
    await this.#letGo();
    this.#glanced = false;
    const source = this.#sources[at + 1];
    this.#glance = source === undefined ? null : at + 1;
    if (source !== undefined) await this.#open([source], 1);
    return [];
  }

  async #open(sources: readonly OrderedSource[], window: number): Promise<void> {
    const inbox = new Inbox<TapDelivery>();
    try {
      const tap = await Tap.open(this.#connection, (error) => this.#fail(error));
      this.#inbox = inbox;
      this.#tap = tap;
      for (const source of sources) {
        const { queue, priority } = source;
        const gone = new WaybillError('not-found', `rabbitmq: the server has ended the consumer of '${queue}'`);
        await tap.consume(
          queue,
          window,
          priority,
          (message) => inbox.push(deliveryOf(message, source, { tap, tag: message.fields.deliveryTag })),
          () => this.#fail(gone),
        );
      }
      if (this.closed) await tap.close();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** A signal that fires means that nothing more is wanted for now. The partitions stay here, as their keys do. */
  #heed(signal: AbortSignal): void {
    if (signal === this.#signal) return;
    this.#signal?.removeEventListener('abort', this.#pause);
    this.#signal = signal;
    signal.addEventListener('abort', this.#pause, { once: true });
  }

  readonly #pause = (): void => {
    this.#paused = true;
  };

  async #letGo(): Promise<void> {
    const tap = this.#tap;
    this.#tap = null;
    this.#returned = [];
    this.#inbox.close();
    this.#inbox = new Inbox();
    await tap?.close();
  }

  #fail(error: unknown): void {
    if (this.closed) return;
    this.#failure = { error };
    this.#signal?.removeEventListener('abort', this.#pause);
    this.#inbox.fail(error);
    void this.#tap?.close();
    this.#handed.clear();
    this.#onSettled?.();
    this.#spec.onLost(this.#sources.map(({ partition }) => partition));
  }
}
