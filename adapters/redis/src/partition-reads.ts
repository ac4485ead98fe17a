import { performance } from 'node:perf_hooks';
import type { Redis } from 'ioredis';
import { Bell } from './bell.ts';
import type { Client } from './connection.ts';
import type { Entry } from './entry.ts';
import { classify } from './errors.ts';
import { FencedReader } from './fenced-reader.ts';
import type { Leases } from './leases.ts';
import { DELIVERED, READ } from './ordered-scripts.ts';
import type { OrderedDelivery, PartitionStream } from './partition-stream.ts';
import { run } from './scripts.ts';

/** A server that was full is not asked again so soon. */
const FULL_FOR = 1_000;

export interface PartitionReadsOptions {
  readonly client: Client;
  /** Null where streams lie on several nodes, so that no read can name them all. */
  readonly reader: Redis | null;
  readonly group: string;
  readonly leases: Leases;
  /** At once, before anything else can happen to the stream that they are from. */
  readonly found: (deliveries: readonly OrderedDelivery[]) => void;
}

/** Reads streams whose partitions are ours: what is pending by scripts, what is new by one watched read of all. */
export class PartitionReads {
  readonly #options: PartitionReadsOptions;
  readonly #bell: Bell<PartitionStream>;
  readonly #fenced: FencedReader | null;
  /** Until then (monotonic) the server is taken for full. */
  #fullUntil = 0;

  constructor(options: PartitionReadsOptions) {
    const { client, reader, group } = options;
    this.#options = options;
    this.#bell = new Bell(client, reader);
    this.#fenced = reader === null ? null : new FencedReader(reader, group);
  }

  /** @param count Most of each of these streams. */
  async read(streams: readonly PartitionStream[], count: number): Promise<void> {
    const watched = this.#fenced !== null && performance.now() >= this.#fullUntil;
    const fresh = watched ? streams.filter(({ pending }) => pending === null) : [];
    const others = streams.filter((stream) => !fresh.includes(stream));
    await Promise.all([...others.map((stream) => this.#byScript(stream, count)), this.#watched(fresh, count)]);
  }

  /** Waits for something new in these, not for long. */
  async wait(streams: readonly PartitionStream[]): Promise<void> {
    for (const stream of await this.#bell.wait(streams)) stream.hot = stream.rung = true;
  }

  async #watched(streams: readonly PartitionStream[], count: number): Promise<void> {
    const { client, group, leases, found } = this.#options;
    if (streams.length === 0 || this.#fenced === null) return;
    this.#bell.stop();
    const owned = [...leases.owned.values()].filter(({ state }) => state === 'held');
    const returns = streams.map((stream) => stream.returns);
    const names = streams.map(({ keys }) => keys.stream);
    const { lost, entries } = await this.#fenced.read(owned, names, count).catch((error: unknown) => {
      if (classify(error) !== 'throttled') throw error;
      this.#fullUntil = performance.now() + FULL_FOR; // scripts still run
      return { lost: [], entries: null };
    });
    if (lost.length > 0) leases.lose(...lost);
    if (entries === null) return;
    const misled: PartitionStream[] = [];
    for (const [at, stream] of streams.entries()) {
      if (stream.isVoid(returns[at] as number)) continue;
      const own = entries[at] as readonly Entry[];
      stream.hot = own.length >= count;
      const last = own.at(-1);
      if (last !== undefined) stream.seen = last[0].toString();
      else if (stream.rung) misled.push(stream);
      stream.rung = false;
      found(own.map((entry) => stream.deliver(entry, entry[0].toString(), 1)));
    }
    for (const stream of misled)
      stream.seen = String(await run<Buffer>(client, DELIVERED, [stream.keys.stream], [group]));
  }

  async #byScript(stream: PartitionStream, count: number): Promise<void> {
    const { client, group, leases, found } = this.#options;
    const { ownership, keys, pending, returns } = stream;
    const reply = await run<[Buffer, Entry[], number[]] | 0>(
      client,
      READ,
      [ownership.keys.lease, keys.stream],
      [ownership.value, group, count, pending ?? '>', ...(pending === null ? [] : stream.out.keys())],
    );
    if (reply === 0) leases.lose(ownership);
    if (reply === 0 || stream.isVoid(returns)) return;
    const [said, entries, counts] = reply;
    const at = said.toString();
    if (pending !== null) stream.pending = at === '' ? null : at;
    else {
      stream.hot = at === '';
      stream.seen = at === '' ? (entries.at(-1) as Entry)[0].toString() : at;
    }
    const deliveries: OrderedDelivery[] = [];
    for (const [index, entry] of entries.entries()) {
      const id = entry[0].toString();
      if (stream.out.has(id)) continue;
      deliveries.push(stream.deliver(entry, id, pending === null ? 1 : (counts[index] ?? 1)));
    }
    found(deliveries);
  }
}
