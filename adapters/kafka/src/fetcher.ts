import { setTimeout as sleep } from 'node:timers/promises';
import { WaybillError } from '@waybill/core/adapter';
import type { Delivery } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { classify, typeOf } from './errors.ts';
import type { FetchAnswer } from './fetched.ts';
import type { Settings } from './options.ts';
import type { Stream } from './stream.ts';

/** Most bytes of one answer, of all its partitions; a single larger batch still comes, alone. */
const ANSWER = 8 * 1024 * 1024;
/** The first wait of a fetch while a partition is left out: it may have room again at any moment. */
const BRIEF = 5;
/** Between tries while a broker can't be fetched from. */
const PAUSE = 100;

export interface FetcherOptions {
  readonly connection: Connection;
  readonly settings: Pick<Settings, 'maxWait' | 'fetchBytes'>;
  /** A stream's position is not to be had. Returns where it goes on, or throws what ends the subscription. */
  readonly outOfRange: (stream: Stream) => Promise<void>;
  /** Something was fetched, or skipped, or a stream has ended. */
  readonly onProgress: () => void;
  /** Fetching can't go on. */
  readonly onFailure: (error: unknown) => void;
  /** For how long nothing may be fetched from any broker before that is a failure: ms. */
  readonly patience: number;
}

/**
 * Reads streams ahead: one fetch per broker at a time, of the partitions that it leads and that have room, so that a
 * partition which nobody reads on holds up no other.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #streams = new Set<Stream>();
  /** The brokers that are fetched from. */
  readonly #running = new Set<number>();
  readonly #wakes = new Set<() => void>();
  #leaders: ReadonlyMap<string, number> = new Map();
  #failingSince: number | null = null;
  #stopped = false;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  get streams(): ReadonlySet<Stream> {
    return this.#streams;
  }

  /** Begins to read these. */
  async add(streams: readonly Stream[]): Promise<void> {
    for (const stream of streams) this.#streams.add(stream);
    await this.#spread(false);
  }

  remove(stream: Stream): void {
    stream.stop();
    this.#streams.delete(stream);
  }

  /** Room was made. */
  wake(): void {
    for (const wake of this.#wakes) wake();
  }

  stop(): void {
    this.#stopped = true;
    for (const stream of this.#streams) stream.stop();
    this.#streams.clear();
    this.wake();
  }

  /** Up to `max` deliveries, of one partition after the other; those that had their turn go last. */
  take(max: number, skip: ReadonlySet<number> | undefined): Delivery[] {
    const out: Delivery[] = [];
    const had: Stream[] = [];
    for (const stream of this.#streams) {
      if (out.length >= max) break;
      if (!stream.waiting || skip?.has(stream.partition) === true) continue;
      stream.take(max, out);
      had.push(stream);
    }
    for (const stream of had) {
      this.#streams.delete(stream);
      this.#streams.add(stream);
    }
    if (had.length > 0) this.wake();
    return out;
  }

  /** Looks who leads what, and sees that each of these brokers is fetched from. */
  async #spread(fresh: boolean): Promise<void> {
    const { connection } = this.#options;
    const leaders = new Map<string, number>();
    for (const topic of new Set([...this.#streams].map((stream) => stream.topic)))
      for (const { partition, leader } of await connection.leaders(topic, fresh))
        if (leader !== null) leaders.set(`${topic} ${partition}`, leader);
    this.#leaders = leaders;
    for (const leader of new Set(leaders.values())) {
      if (this.#stopped || this.#running.has(leader)) continue;
      this.#running.add(leader);
      void this.#run(leader);
    }
    this.wake();
  }

  async #run(nodeId: number): Promise<void> {
    const { onFailure, patience, settings } = this.#options;
    let wait = BRIEF;
    for (let mine = this.#ledBy(nodeId); mine.length > 0; mine = this.#ledBy(nodeId)) {
      const roomy = mine.filter((stream) => this.#hasRoom(stream));
      const starved = roomy.find((stream) => stream.starved);
      const wanted = starved === undefined ? roomy : [starved];
      if (wanted.length === 0) {
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            this.#wakes.delete(wake);
            resolve();
          };
          this.#wakes.add(wake);
        });
        continue;
      }
      try {
        const all = wanted.length === mine.length;
        const moved = await this.#fetch(nodeId, wanted, all ? settings.maxWait : wait);
        wait = moved || all ? BRIEF : Math.min(settings.maxWait, wait * 2);
        this.#failingSince = null;
      } catch (error) {
        if (this.#stopped) return;
        this.#failingSince ??= performance.now();
        const lasting = performance.now() - this.#failingSince > patience;
        if (lasting || !isPassing(error)) {
          onFailure(codecError(error));
          return;
        }
        await sleep(PAUSE);
        await this.#spread(true).catch(() => undefined);
      }
    }
    // In the turn that has found nothing, or what is added next would wait for a run that is over.
    this.#running.delete(nodeId);
  }

  #ledBy(nodeId: number): Stream[] {
    return [...this.#streams].filter(({ topic, partition }) => this.#leaders.get(`${topic} ${partition}`) === nodeId);
  }

  #hasRoom({ bytes, ended, live }: Stream): boolean {
    return live && !ended && bytes < this.#options.settings.fetchBytes;
  }

  /** Resolves with whether anything came of it. */
  async #fetch(nodeId: number, wanted: readonly Stream[], wait: number): Promise<boolean> {
    const { connection, settings, onProgress } = this.#options;
    const { fetchBytes } = settings;
    const asked = new Map<string, { readonly stream: Stream; readonly position: bigint }>();
    const topics = new Map<string, { partition: number; fetchOffset: string; maxBytes: number }[]>();
    for (const stream of wanted) {
      const { topic, partition, position } = stream;
      asked.set(`${topic} ${partition}`, { stream, position });
      const list = topics.get(topic) ?? [];
      topics.set(topic, list);
      list.push({ partition, fetchOffset: String(position), maxBytes: fetchBytes });
    }
    const node = await connection.node(nodeId);
    let found: FetchAnswer['responses'];
    try {
      ({ responses: found } = await node.fetch({
        isolationLevel: 1,
        maxWaitTime: wait,
        minBytes: 1,
        maxBytes: ANSWER,
        topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
      }));
    } catch (error) {
      if (typeOf(error) !== 'OFFSET_OUT_OF_RANGE') throw error;
      const { topic, partition } = error as { topic?: string; partition?: number };
      const stream = asked.get(`${topic} ${partition}`)?.stream;
      if (stream?.live === true) await this.#options.outOfRange(stream);
      onProgress();
      return true;
    }
    let moved = false;
    for (const { topicName, partitions } of found)
      for (const partition of partitions) {
        const one = asked.get(`${topicName} ${partition.partition}`);
        // Sought, or gone, while the fetch was under way.
        if (one === undefined || !one.stream.live || one.stream.position !== one.position) continue;
        if (one.stream.add(partition)) moved = true;
      }
    if (moved) onProgress();
    return moved;
  }
}

/** Another broker may lead now, or the same one come back. */
function isPassing(error: unknown): boolean {
  return ['disconnected', 'unavailable', 'timeout', 'throttled'].includes(classify(error)) && !WaybillError.is(error);
}

/** Names the codec of a batch that can't be read. */
function codecError(error: unknown): unknown {
  const said = error instanceof Error ? /\b(snappy|lz4|zstd)\b/i.exec(error.message)?.[1] : undefined;
  if (said === undefined) return error;
  return new WaybillError(
    'unsupported',
    `kafka: a batch is compressed with ${said.toLowerCase()}, which this client can't read; set compression.type of the topic to gzip or uncompressed`,
    { cause: error },
  );
}
