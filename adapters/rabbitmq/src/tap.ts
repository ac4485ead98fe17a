import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ConsumeMessage, GetMessage, Message } from 'amqplib';
import type { Connection } from './connection.ts';
import { Ledger } from './ledger.ts';
import { patiently } from './patience.ts';

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

/** A channel that deliveries come through. It lives once; what it has not settled at its end goes back to its queue. */
export class Tap {
  readonly #channel: Channel;
  readonly #ledger = new Ledger();
  readonly #consumers: string[] = [];
  #error: Error | null = null;
  #alive = true;
  /** Settlements of late, and when the last one was sent. */
  #burst = 0;
  #sentAt = 0;

  private constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** @param onEnd Told once, when it ends without having been closed. */
  static async open(connection: Connection, onEnd: (error: Error) => void): Promise<Tap> {
    const channel = await connection.openChannel();
    const tap = new Tap(channel);
    channel.on('error', (error) => (tap.#error ??= error));
    channel.on('close', () => {
      if (!tap.#alive) return;
      tap.#alive = false;
      // A connection ends its channels before itself.
      queueMicrotask(() => onEnd(connection.alive ? (tap.#error ?? new Error('Channel closed')) : connection.error));
    });
    return tap;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Deliveries that have come and are not settled. */
  get unsettled(): number {
    return this.#ledger.open;
  }

  /**
   * @param window Most unsettled deliveries of this queue.
   * @param onCancel The server has ended the consumer: its queue was deleted, or its node is gone.
   */
  async consume(
    queue: string,
    window: number,
    priority: number | null,
    take: (message: ConsumeMessage) => void,
    onCancel: () => void,
  ): Promise<void> {
    await this.#channel.prefetch(window); // of the consumers that follow, each
    const { consumerTag } = await this.#channel.consume(
      queue,
      (message) => {
        // A throw here would close the channel.
        if (message === null) onCancel();
        else if (this.#alive) {
          this.#ledger.came(message.fields.deliveryTag);
          take(message);
        }
      },
      priority === null ? {} : { priority },
    );
    this.#consumers.push(consumerTag);
  }

  /** No more comes: when it resolves, all that came has been taken. */
  async cancel(): Promise<void> {
    for (const tag of this.#consumers.splice(0)) if (this.#alive) await this.#channel.cancel(tag);
  }

  async get(queue: string): Promise<GetMessage | null> {
    const message = await this.#channel.get(queue);
    if (message === false) return null;
    this.#ledger.came(message.fields.deliveryTag);
    return message;
  }

  /** Whether the queue is there; if not, this ends the tap. */
  async check(queue: string): Promise<void> {
    await this.#channel.checkQueue(queue);
  }

  /** Settles those of its receipts that it has not settled before; the others are lost. Nothing of a dead tap is sent. */
  ack(receipts: readonly TapReceipt[]): ('ok' | 'lost')[] {
    const fresh: number[] = [];
    const results = receipts.map(({ tap, tag }) => {
      if (tap !== this || !this.#alive || !this.#ledger.settle(tag)) return 'lost';
      fresh.push(tag);
      return 'ok';
    });
    if (fresh.length === 0) return results;
    // One frame settles all up to the first delivery that is still open; those beyond it have a frame each.
    fresh.sort((a, b) => a - b);
    const mark = this.#ledger.mark;
    let below = 0;
    while (below < fresh.length && (fresh[below] as number) < mark) below++;
    if (below > 0) this.#settling().ack(named(fresh[below - 1] as number), below > 1);
    for (const tag of fresh.slice(below)) this.#settling().ack(named(tag));
    return results;
  }

  /** Back to the front of the queue, one after another. */
  giveBack(tags: readonly number[]): void {
    for (const tag of tags) if (this.#alive && this.#ledger.settle(tag)) this.#settling().nack(named(tag));
  }

  /** What is unsettled goes back, in order. Idempotent; ends within seconds. */
  async close(): Promise<void> {
    if (!this.#alive) return;
    this.#alive = false;
    if (this.#burst > BURST) await sleep(Math.max(0, this.#sentAt + CALM - performance.now()));
    await patiently(
      this.#channel.close().catch(() => undefined),
      FAREWELL,
    );
  }

  #settling(): Channel {
    const now = performance.now();
    this.#burst = now - this.#sentAt > CALM ? 1 : this.#burst + 1;
    this.#sentAt = now;
    return this.#channel;
  }
}

/** All that amqplib reads of a message to settle it. */
function named(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}
