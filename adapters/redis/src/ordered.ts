import { performance } from 'node:perf_hooks';
import {
  type AdapterSubscription,
  type Delivery,
  patiently,
  type Receipt,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Redis } from 'ioredis';
import type { Client } from './connection.ts';
import type { LeaseKeys, StreamKeys } from './keys.ts';
import { Leases, type Ownership } from './leases.ts';
import { SETTLE, UNCOUNT } from './ordered-scripts.ts';
import { PartitionReads } from './partition-reads.ts';
import { type OrderedDelivery, type OrderedReceipt, PartitionStream } from './partition-stream.ts';
import { run, type Script } from './scripts.ts';
import { Trimmer } from './upkeep.ts';

const PATIENCE = 1_000; // what `close` waits for
const ANSWER = 900;
/** The bell may be missed: a group that was moved from outside, a stream that was deleted. */
const LOOK_EVERY = 2_000;
const CHUNK = 1_000;

export interface OrderedOptions {
  readonly client: Client;
  readonly reader: Redis | null;
  readonly spec: SubscriptionSpec;
  /** The group's name at the server. */
  readonly group: string;
  readonly members: string;
  /** By partition. The inbox is missing for a subscription without one. */
  readonly partitions: readonly {
    readonly lease: LeaseKeys;
    readonly topic: StreamKeys;
    readonly inbox: StreamKeys | null;
  }[];
  /** Of settled messages, where the topic doesn't say. */
  readonly retention: number;
}

/** One consumer of an ordered topic: the partitions it owns by lease, each stream from its first unsettled entry on. */
export class OrderedSubscription implements AdapterSubscription {
  readonly #options: OrderedOptions;
  readonly #leases: Leases;
  readonly #reads: PartitionReads;
  readonly #trimmer: Trimmer;
  readonly #streams = new Map<Ownership, PartitionStream[]>();
  #ready: OrderedDelivery[] = [];
  #asked = 0;
  #reading: Promise<void> | null = null;
  #failure: unknown;
  #turn = 0;
  #lookedAt = performance.now();
  #wake: () => void = () => undefined;
  #closing: Promise<void> | null = null;

  constructor(options: OrderedOptions) {
    const { client, spec, group, members, partitions, reader, retention } = options;
    this.#options = options;
    this.#trimmer = new Trimmer(client, retention, (error) => this.#fail(error));
    this.#leases = new Leases({
      client,
      spec,
      group,
      members,
      partitions: partitions.map(({ lease, topic, inbox }) => ({
        keys: lease,
        streams: inbox === null ? [topic.stream] : [topic.stream, inbox.stream],
      })),
      acquired: (ownership) => this.#acquired(ownership),
      parted: (ownership) => this.#parted(ownership),
      failed: (error) => this.#fail(error),
    });
    const found = (deliveries: readonly OrderedDelivery[]): void => {
      this.#asked -= deliveries.length;
      this.#ready.push(...deliveries);
    };
    this.#reads = new PartitionReads({ client, reader, group, leases: this.#leases, found });
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  get reserved(): number {
    return this.#asked + this.#ready.length;
  }

  async receive(max: number, signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]> {
    if (this.#closing !== null) throw new WaybillError('closed', 'redis: the subscription is closed');
    const until = performance.now() + ANSWER;
    for (;;) {
      // A read under way may bring this partition's next at any moment, so what is there goes first.
      const found = this.#hand(max, skip);
      if (found.length > 0) return found;
      if (this.#failure !== undefined) throw this.#failure;
      const left = until - performance.now();
      if (left <= 0 || signal.aborted || this.#closing !== null) return [];
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      this.#reading ??= this.#read(max - this.#ready.length, skip);
      await patiently(this.#reading ?? Promise.race([woken, this.#listen(skip)]), left, signal);
    }
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    const byStream = new Map<PartitionStream, OrderedReceipt[]>();
    for (const receipt of receipts as readonly OrderedReceipt[]) {
      if (receipt.state !== 'out' || receipt.source.ownership.state === 'gone') continue;
      const list = byStream.get(receipt.source);
      if (list === undefined) byStream.set(receipt.source, [receipt]);
      else list.push(receipt);
    }
    await Promise.all([...byStream].map(([stream, mine]) => this.#settle(stream, mine)));
    return receipts.map((receipt) => ((receipt as OrderedReceipt).state === 'settled' ? 'ok' : 'lost'));
  }

  async nack(receipts: readonly Receipt[]): Promise<void> {
    const back = new Map<PartitionStream, OrderedReceipt[]>();
    const take = (receipt: OrderedReceipt): void => {
      const { source } = receipt;
      source.takeBack(receipt);
      const list = back.get(source);
      if (list === undefined) back.set(source, [receipt]);
      else list.push(receipt);
    };
    for (const receipt of receipts as readonly OrderedReceipt[])
      if (receipt.state === 'out' && receipt.source.ownership.state !== 'gone') take(receipt);
    // What waits here of these streams is read again behind it.
    for (const { receipt } of this.#ready) if (back.has(receipt.source)) take(receipt);
    this.#ready = this.#ready.filter(({ receipt }) => receipt.state === 'out');
    // Sent in this turn, so before any read that follows.
    const uncounting = [...back].map(([stream, mine]) => this.#each(stream, mine, UNCOUNT, []));
    this.#wake();
    await Promise.all(uncounting);
  }

  /** The lease is the partition's, and goes on by itself. */
  extend(receipts: readonly Receipt[]): Promise<readonly (number | 'lost')[]> {
    return Promise.resolve(
      (receipts as readonly OrderedReceipt[]).map(({ source, state }) =>
        state === 'out' && source.ownership.state !== 'gone' ? source.ownership.until : 'lost',
      ),
    );
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#wake();
    this.#trimmer.stop();
    if (this.#reading !== null) await patiently(this.#reading, PATIENCE);
    this.#options.reader?.disconnect();
    await patiently(this.#leases.stop(), 2 * PATIENCE);
    this.#ready = [];
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  #acquired(ownership: Ownership): void {
    const { topic, inbox } = this.#options.partitions[ownership.partition] as OrderedOptions['partitions'][number];
    const [topicSeen = '0-0', inboxSeen = '0-0'] = ownership.delivered;
    const streams = [new PartitionStream(ownership, topic, 'topic', topicSeen)];
    if (inbox !== null) streams.push(new PartitionStream(ownership, inbox, 'inbox', inboxSeen));
    this.#streams.set(ownership, streams);
    this.#trimmer.settled(topic, false);
    this.#wake();
  }

  /** What waits here is pending at the server, where its next owner begins. */
  #parted(ownership: Ownership): void {
    this.#streams.delete(ownership);
    if (this.#ready.length > 0)
      this.#ready = this.#ready.filter(({ receipt }) => receipt.source.ownership !== ownership);
  }

  #hand(max: number, skip: ReadonlySet<number> | undefined): Delivery[] {
    if (skip === undefined) return this.#ready.splice(0, max);
    const found: OrderedDelivery[] = [];
    this.#ready = this.#ready.filter((one) => found.length === max || skip.has(one.partition) || !found.push(one));
    return found;
  }

  #all(skip: ReadonlySet<number> | undefined): PartitionStream[] {
    return [...this.#streams.values()].flat().filter(({ partition }) => skip?.has(partition) !== true);
  }

  /** One read of each stream that may have something; null where none may. */
  #read(max: number, skip: ReadonlySet<number> | undefined): Promise<void> | null {
    const now = performance.now();
    const all = this.#all(skip);
    if (now - this.#lookedAt >= LOOK_EVERY) {
      this.#lookedAt = now;
      for (const stream of all) stream.hot = true;
    }
    const hot = all.filter((stream) => stream.hot);
    // COUNT is per stream, so a read of n streams brings up to n × COUNT.
    const width = Math.min(max, hot.length);
    if (width <= 0) return null;
    const first = this.#turn++ * width;
    const chosen = Array.from({ length: width }, (_, at) => hot[(first + at) % hot.length] as PartitionStream);
    this.#asked = max;
    return this.#reads
      .read(chosen, Math.floor(max / width))
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#asked = 0;
        this.#reading = null;
      });
  }

  #listen(skip: ReadonlySet<number> | undefined): Promise<void> {
    const streams = this.#all(skip).filter(({ hot }) => !hot);
    if (streams.length === 0) return new Promise(() => undefined); // until something wakes us
    return this.#reads.wait(streams).catch((error: unknown) => this.#fail(error));
  }

  async #settle(stream: PartitionStream, receipts: readonly OrderedReceipt[]): Promise<void> {
    const { keys, deletes, out } = stream;
    await this.#each(stream, receipts, SETTLE, [deletes ? '1' : '0'], (part) => {
      for (const receipt of part) {
        receipt.state = 'settled';
        out.delete(receipt.id);
      }
    });
    this.#trimmer.settled(keys, deletes);
  }

  /** Runs a fenced script over receipts of one stream, in chunks sent at once; `done` for each that was still ours. */
  async #each(
    { ownership, keys }: PartitionStream,
    receipts: readonly OrderedReceipt[],
    script: Script,
    args: readonly string[],
    done?: (part: readonly OrderedReceipt[]) => void,
  ): Promise<void> {
    const first = [ownership.value, this.#options.group, ...args];
    const running: Promise<void>[] = [];
    for (let at = 0; at < receipts.length; at += CHUNK) {
      const part = receipts.slice(at, at + CHUNK);
      const ids = part.map(({ id }) => id);
      running.push(
        run<number>(this.#options.client, script, [ownership.keys.lease, keys.stream], first.concat(ids)).then((ours) =>
          ours === 1 ? done?.(part) : this.#leases.lose(ownership),
        ),
      );
    }
    await Promise.all(running);
  }
}
