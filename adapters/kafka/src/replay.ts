import type { AdapterSubscription, Delivery, Receipt, StartPosition } from '@waybill/core/adapter';
import { Arrivals } from './arrivals.ts';
import type { Connection } from './connection.ts';
import { Fetcher } from './fetcher.ts';
import type { Settings } from './options.ts';
import { offsetsOf, startOffsets } from './positions.ts';
import { Stream } from './stream.ts';

/** Reads what is stored from one position to the present end, without a group: nothing is settled, nothing is left behind. */
export class KafkaReplay implements AdapterSubscription {
  readonly reserved = 0;
  readonly #connection: Connection;
  readonly #fetcher: Fetcher;
  readonly #arrivals = new Arrivals();
  #streams: readonly Stream[] = [];
  #closing: Promise<void> | null = null;

  constructor(connection: Connection, settings: Settings) {
    this.#connection = connection;
    this.#fetcher = new Fetcher({
      connection,
      settings,
      patience: settings.lease,
      // What was there when the replay began was deleted before it was read.
      outOfRange: async (stream) => {
        const low = await offsetsOf(connection, stream.topic, 'earliest');
        stream.position = low.get(stream.partition) ?? stream.end ?? stream.position;
      },
      onProgress: () => this.#arrivals.ring(),
      onFailure: (error) => this.#arrivals.fail(error),
    });
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  get ended(): boolean {
    return this.#streams.every((stream) => stream.ended);
  }

  async open(topic: string, start: StartPosition): Promise<this> {
    const [from, end] = await Promise.all([
      startOffsets(this.#connection, topic, start),
      offsetsOf(this.#connection, topic, 'latest'),
    ]);
    this.#streams = [...end].map(
      ([partition, last]) =>
        new Stream({ topic, partition, origin: 'topic', from: from.get(partition) ?? last, end: last }),
    );
    await this.#fetcher.add(this.#streams);
    return this;
  }

  receive(max: number, signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]> {
    if (this.ended) return Promise.resolve([]);
    return this.#arrivals.take(() => this.#fetcher.take(max, skip), signal);
  }

  ack(receipts: readonly Receipt[]): Promise<readonly 'ok'[]> {
    for (const receipt of receipts) {
      const { stream } = receipt as { readonly stream: Stream };
      stream.settle(receipt as Parameters<Stream['settle']>[0]);
    }
    this.#fetcher.wake();
    return Promise.resolve(receipts.map(() => 'ok'));
  }

  close(): Promise<void> {
    this.#fetcher.stop();
    this.#closing ??= this.#connection.close();
    return this.#closing;
  }
}
