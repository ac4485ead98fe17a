import {
  type AdapterSubscription,
  type Delivery,
  Inbox,
  type Receipt,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import type { Outlived } from './outlived.ts';
import { PartitionReader, type PartitionSource } from './reader.ts';
import { settle, type TapDelivery, type TapReceipt } from './tap.ts';

/** What a receive waits for one. */
const ANSWER = 900;

export interface OrderedOptions {
  readonly connection: Connection;
  readonly spec: Pick<SubscriptionSpec, 'prefetch' | 'suspect' | 'onLost'>;
  readonly sources: readonly PartitionSource[];
  readonly outlived: Outlived;
}

/** A consumer of every partition's queue, each of which has one active consumer at a time. */
export class OrderedSubscription implements AdapterSubscription {
  readonly #spec: OrderedOptions['spec'];
  readonly #readers: readonly PartitionReader[];
  readonly #window: number;
  readonly #inbox = new Inbox<TapDelivery>();
  /** Given back by core, in order: nobody else may have it while this consumer is the active one. */
  #returned: TapDelivery[] = [];
  #paused = false;
  #signal: AbortSignal | null = null;
  #failure: { readonly error: unknown } | null = null;
  #closing: Promise<void> | null = null;

  private constructor({ connection, spec, sources, outlived }: OrderedOptions) {
    this.#spec = spec;
    this.#window = Math.max(1, Math.floor(spec.prefetch / sources.length));
    this.#readers = sources.map(
      (source) =>
        new PartitionReader({
          connection,
          source,
          outlived,
          window: this.#window,
          push: (delivery) => this.#inbox.push(delivery),
          onTurn: () => this.#turn(),
          onEnd: (error) => this.#fail(error),
        }),
    );
  }

  static async open(options: OrderedOptions): Promise<OrderedSubscription> {
    const subscription = new OrderedSubscription(options);
    try {
      await Promise.all(subscription.#readers.map((reader) => reader.open()));
    } catch (error) {
      subscription.#fail(error);
      throw error;
    }
    return subscription;
  }

  get closed(): boolean {
    return this.#closing !== null || this.#failure !== null;
  }

  get unsettled(): number {
    return this.closed ? 0 : this.#readers.reduce((sum, { unsettled }) => sum + unsettled, 0);
  }

  /** Of the prefetch, what core does not hold: the server may push it at any time. */
  get reserved(): number {
    if (this.closed || this.#paused) return 0;
    const passedOn = this.#readers.reduce((sum, reader) => sum + reader.passedOn, 0);
    const held = passedOn - this.#inbox.size - this.#returned.length;
    return Math.max(0, this.#window * this.#readers.length - held);
  }

  async receive(max: number, signal: AbortSignal): Promise<Delivery[]> {
    if (this.#closing !== null) throw new WaybillError('closed', 'rabbitmq: the subscription is closed');
    if (this.#failure !== null) throw this.#failure.error;
    this.#heed(signal);
    this.#paused = false;
    const [first] = this.#returned;
    if (first === undefined) return this.#inbox.receive(max, signal, ANSWER);
    return this.#returned.splice(0, this.#isSuspect(first) ? 1 : max);
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    const results = settle(receipts as readonly TapReceipt[]);
    for (const reader of this.#readers) reader.settled();
    return results;
  }

  /** A suspect comes again first, and alone: core gives it back to see it so. */
  async nack(receipts: readonly Receipt[]): Promise<void> {
    for (const { tap, tag } of receipts as readonly TapReceipt[]) {
      const delivery = tap.find(tag);
      if (delivery !== null && !this.#returned.includes(delivery)) this.#returned.push(delivery);
    }
    const suspicion = (one: TapDelivery): number => Number(this.#isSuspect(one));
    this.#returned.sort((a, b) => suspicion(b) - suspicion(a) || a.receipt.tag - b.receipt.tag);
    this.#paused = true; // who gives back wants nothing more for now
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#pause);
    this.#inbox.close();
    await this.#closeReaders();
  }

  async #closeReaders(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()));
  }

  #isSuspect({ deliveryCount }: TapDelivery): boolean {
    return (deliveryCount ?? 0) >= (this.#spec.suspect ?? Infinity);
  }

  /** One partition at a time is read alone; first the least suspicious, for a killer takes this process with it. */
  #turn(): void {
    if (this.#readers.some(({ alone }) => alone)) return;
    const waiting = this.#readers.filter((reader) => reader.waiting !== null);
    waiting.toSorted((a, b) => (a.waiting ?? 0) - (b.waiting ?? 0))[0]?.readAlone();
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

  #fail(error: unknown): void {
    if (this.closed) return;
    this.#failure = { error };
    this.#signal?.removeEventListener('abort', this.#pause);
    this.#returned = [];
    this.#inbox.fail(error);
    void this.#closeReaders();
    this.#spec.onLost(this.#readers.map(({ source }) => source.partition));
  }
}
