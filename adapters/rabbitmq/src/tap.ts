import { patiently } from '@waybill/core/adapter';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ConsumeMessage, GetMessage, Message } from 'amqplib';
import type { Connection } from './connection.ts';
import { type DeliveryOf, deliveryOf, type Source } from './delivery.ts';
import { Ledger } from './ledger.ts';
import type { Outlived } from './outlived.ts';

/** What `close` waits for the server's answer. */
const FAREWELL = 3_000;

/** Beyond 32 that a queue has not answered, a channel puts settlements off, and at its end it drops them [3.10]. */
const BURST = 16;
/** What the server gets to catch up with a burst. Milliseconds. */
const CALM = 200;

/** What settles one delivery. It is of no use on any other tap: there its tag is another message's. */
export interface TapReceipt {
  readonly tap: Tap;
  readonly tag: number;
}

export type TapDelivery = DeliveryOf<TapReceipt>;

export interface TapOptions {
  readonly connection: Connection;
  readonly source: Source;
  readonly outlived: Outlived;
  /** Told once, when it ends without having been closed. */
  readonly onEnd: (error: Error) => void;
}

/** A channel that one queue is read through. It lives once; what it has not settled at its end goes back to its queue. */
export class Tap {
  readonly #channel: Channel;
  readonly #source: Source;
  readonly #outlived: Outlived;
  readonly #ledger = new Ledger<TapDelivery>();
  #consumer: string | null = null;
  /** Settled, and the server is not told yet. */
  #fresh: number[] = [];
  #error: Error | null = null;
  #alive = true;
  /** Settlements of late, and when the last one was sent. */
  #burst = 0;
  #sentAt = 0;

  private constructor(channel: Channel, { source, outlived }: TapOptions) {
    this.#channel = channel;
    this.#source = source;
    this.#outlived = outlived;
  }

  static async open(options: TapOptions): Promise<Tap> {
    const { connection, onEnd } = options;
    const channel = await connection.openChannel();
    const tap = new Tap(channel, options);
    channel.on('error', (error) => (tap.#error ??= error));
    channel.on('close', () => {
      if (!tap.#alive) return;
      tap.#end();
      // A connection ends its channels before itself.
      queueMicrotask(() => onEnd(connection.alive ? (tap.#error ?? new Error('Channel closed')) : connection.error));
    });
    return tap;
  }

  /** Deliveries that have come and are not settled. */
  get unsettled(): number {
    return this.#ledger.open;
  }

  /** The unsettled delivery of that tag; null where there is none. */
  find(tag: number): TapDelivery | null {
    return this.#alive ? this.#ledger.find(tag) : null;
  }

  /**
   * @param window Most unsettled deliveries.
   * @param onCancel The server has ended the consumer: the queue was deleted, or its node is gone.
   */
  async consume(
    window: number,
    priority: number | null,
    take: (delivery: TapDelivery) => void,
    onCancel: () => void,
  ): Promise<void> {
    await this.#channel.prefetch(window); // of the consumer that follows
    const { consumerTag } = await this.#channel.consume(
      this.#source.queue,
      (message) => {
        // A throw here would close the channel.
        if (message === null) onCancel();
        else if (this.#alive) take(this.#came(message));
      },
      priority === null ? {} : { priority },
    );
    this.#consumer = consumerTag;
  }

  /** No more comes: when it resolves, all that came has been taken. */
  async cancel(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    if (consumer !== null && this.#alive) await this.#channel.cancel(consumer);
  }

  async get(): Promise<TapDelivery | null> {
    const message = await this.#channel.get(this.#source.queue);
    return message === false ? null : this.#came(message);
  }

  /** Whether the queue is there; if not, this ends the tap. */
  async check(): Promise<void> {
    await this.#channel.checkQueue(this.#source.queue);
  }

  /** False where it was settled before, or is lost with this tap. The server is told by `flush`. */
  settle(tag: number): boolean {
    const delivery = this.#alive ? this.#ledger.settle(tag) : null;
    if (delivery === null) return false;
    if (delivery.raw.fields.redelivered) this.#outlived.forget(this.#source.queue, delivery.id);
    this.#fresh.push(tag);
    return true;
  }

  /** One frame settles all up to the first delivery that is still open; those beyond it have a frame each. */
  flush(): void {
    const fresh = this.#fresh;
    this.#fresh = [];
    if (!this.#alive) return;
    const mark = this.#ledger.mark;
    let last = 0;
    let below = 0;
    for (const tag of fresh)
      if (tag < mark) {
        last = Math.max(last, tag);
        below++;
      } else this.#settling().ack(named(tag));
    if (below > 0) this.#settling().ack(named(last), below > 1);
  }

  /** Back to the front of the queue, one after another. */
  giveBack(tags: readonly number[]): void {
    for (const tag of tags) {
      const delivery = this.#alive ? this.#ledger.settle(tag) : null;
      if (delivery === null) continue;
      this.#outlived.add(this.#source.queue, delivery.id);
      this.#settling().nack(named(tag));
    }
  }

  /** What is unsettled goes back, in order. Idempotent; ends within seconds. */
  async close(): Promise<void> {
    if (!this.#alive) return;
    this.#end();
    if (this.#burst > BURST) await sleep(Math.max(0, this.#sentAt + CALM - performance.now()));
    // One whose connection breaks meanwhile never answers.
    const broken = new Promise<void>((resolve) => this.#channel.once('close', resolve));
    await patiently(Promise.race([this.#channel.close().catch(() => undefined), broken]), FAREWELL);
  }

  #came(message: ConsumeMessage | GetMessage): TapDelivery {
    const receipt = { tap: this, tag: message.fields.deliveryTag };
    const delivery = deliveryOf(message, this.#source, receipt, this.#outlived);
    this.#ledger.came(delivery);
    return delivery;
  }

  #end(): void {
    this.#alive = false;
    for (const { id } of this.#ledger.left) this.#outlived.add(this.#source.queue, id);
  }

  #settling(): Channel {
    const now = performance.now();
    this.#burst = now - this.#sentAt > CALM ? 1 : this.#burst + 1;
    this.#sentAt = now;
    return this.#channel;
  }
}

/** Settles each where it came from; those settled before, or lost with their tap, are lost. */
export function settle(receipts: readonly TapReceipt[]): ('ok' | 'lost')[] {
  const taps = new Set<Tap>();
  const results = receipts.map(({ tap, tag }) => {
    if (!tap.settle(tag)) return 'lost';
    taps.add(tap);
    return 'ok';
  });
  for (const tap of taps) tap.flush();
  return results;
}

/** All that amqplib reads of a message to settle it. */
function named(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}
