import { performance } from 'node:perf_hooks';
import {
  type AdapterSubscription,
  type Delivery,
  type Receipt,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Redis } from 'ioredis';
import { Bell } from './bell.ts';
import type { Client } from './connection.ts';
import { deliveryOf } from './delivery.ts';
import { compareIds, type Entry } from './entry.ts';
import type { LeaseKeys, StreamKeys } from './keys.ts';
import { Leases, type Ownership } from './leases.ts';
import { READ, SETTLE } from './ordered-scripts.ts';
import { patiently } from './patience.ts';
import { previousId } from './positions.ts';
import { run } from './scripts.ts';
import type { Trimmer } from './upkeep.ts';

const PATIENCE = 1_000; // what `close` waits for
const ANSWER = 900;
/** A bell may be missed: a group that was moved from outside, a stream that was deleted. */
const LOOK_EVERY = 2_000;
const CHUNK = 1_000;

/** One stream of a partition that is ours: the topic's or the group's inbox. */
interface Source {
  readonly ownership: Ownership;
  readonly keys: StreamKeys;
  readonly origin: Delivery['origin'];
  readonly partition: number;
  readonly deletes: boolean;
  /** What is pending was read up to this id; null when all of it was. */
  pending: string | null;
  /** There may be something to read. */
  hot: boolean;
  /** Nothing behind this id was delivered, as far as is known. */
  seen: string;
  /** Counts what was given back: a read from before that is void. */
  returns: number;
  /** In core's hands, or on the way there. */
  readonly out: Map<string, OrderedReceipt>;
}

interface OrderedReceipt {
  readonly source: Source;
  readonly id: string;
  state: 'out' | 'settled' | 'back';
}

type OrderedDelivery = Delivery & { readonly receipt: OrderedReceipt };

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
  readonly trimmer: Trimmer;
}

/** One consumer of an ordered topic: the partitions it owns by lease, each stream from its first unsettled entry on. */
export class OrderedSubscription implements AdapterSubscription {
  readonly #options: OrderedOptions;
  readonly #leases: Leases;
  readonly #bell: Bell<Source>;
  readonly #sources = new Map<Ownership, Source[]>();
  #ready: OrderedDelivery[] = [];
  #asked = 0;
  #reading: Promise<void> | null = null;
  #failure: unknown;
  #turn = 0;
  #lookedAt = performance.now();
  #wake: () => void = () => undefined;
  #closing: Promise<void> | null = null;

  constructor(options: OrderedOptions) {
    const { client, spec, group, members, partitions, reader } = options;
    this.#options = options;
    this.#bell = new Bell(client, reader);
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
      const found = this.#hand(max, skip);
      if (found.length > 0) return found;
      if (this.#failure !== undefined) throw this.#failure;
      const left = until - performance.now();
      if (left <= 0 || signal.aborted || this.#closing !== null) return [];
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      this.#reading ??= this.#read(max - this.#ready.length, skip);
      if (this.#reading !== null) await patiently(this.#reading, left, signal);
      else await patiently(Promise.race([woken, this.#listen(skip)]), left, signal);
    }
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    const bySource = new Map<Source, OrderedReceipt[]>();
    for (const receipt of receipts as readonly OrderedReceipt[]) {
      if (receipt.state !== 'out' || receipt.source.ownership.state === 'gone') continue;
      const list = bySource.get(receipt.source);
      if (list === undefined) bySource.set(receipt.source, [receipt]);
      else list.push(receipt);
    }
    await Promise.all([...bySource].map(([source, mine]) => this.#settle(source, mine)));
    return receipts.map((receipt) => ((receipt as OrderedReceipt).state === 'settled' ? 'ok' : 'lost'));
  }

  /** They stay pending, and are read again, with all that came behind them and is not in core's hands. */
  nack(receipts: readonly Receipt[]): Promise<void> {
    for (const receipt of receipts as readonly OrderedReceipt[]) {
      const { source, id, state } = receipt;
      if (state !== 'out' || source.ownership.state === 'gone') continue;
      receipt.state = 'back';
      source.out.delete(id);
      source.returns++;
      this.#readAgain(source, id);
      for (const one of this.#ready) if (one.receipt.source === source) this.#readAgain(source, one.receipt.id);
      this.#drop((one) => one.source === source);
    }
    this.#wake();
    return Promise.resolve();
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
    this.#options.trimmer.stop();
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
    const { partition } = ownership;
    const { topic, inbox } = this.#options.partitions[partition] as OrderedOptions['partitions'][number];
    const source = (keys: StreamKeys, origin: Source['origin']): Source => ({
      ownership,
      keys,
      origin,
      partition,
      deletes: origin === 'inbox',
      pending: '0-0',
      hot: true,
      seen: '0-0',
      returns: 0,
      out: new Map(),
    });
    this.#sources.set(ownership, [source(topic, 'topic'), ...(inbox === null ? [] : [source(inbox, 'inbox')])]);
    this.#options.trimmer.settled(topic, false);
    this.#wake();
  }

  /** What waits here is pending at the server, where its next owner begins. */
  #parted(ownership: Ownership): void {
    this.#sources.delete(ownership);
    this.#drop(({ source }) => source.ownership === ownership);
  }

  #drop(which: (receipt: OrderedReceipt) => boolean): void {
    if (this.#ready.length === 0) return;
    for (const { receipt } of this.#ready) if (which(receipt)) receipt.source.out.delete(receipt.id);
    this.#ready = this.#ready.filter(({ receipt }) => !which(receipt));
  }

  #readAgain(source: Source, id: string): void {
    const from = previousId(id);
    if (source.pending === null || compareIds(from, source.pending) < 0) source.pending = from;
    source.hot = true;
  }

  #hand(max: number, skip: ReadonlySet<number> | undefined): Delivery[] {
    if (skip === undefined) return this.#ready.splice(0, max);
    const found: OrderedDelivery[] = [];
    this.#ready = this.#ready.filter((one) => found.length === max || skip.has(one.partition) || !found.push(one));
    return found;
  }

  #all(skip: ReadonlySet<number> | undefined): Source[] {
    return [...this.#sources.values()].flat().filter(({ partition }) => skip?.has(partition) !== true);
  }

  /** One read of each stream that may have something; null where none may. */
  #read(max: number, skip: ReadonlySet<number> | undefined): Promise<void> | null {
    const now = performance.now();
    const all = this.#all(skip);
    if (now - this.#lookedAt >= LOOK_EVERY) {
      this.#lookedAt = now;
      for (const source of all) source.hot = true;
    }
    const hot = all.filter((source) => source.hot);
    // COUNT is per stream, so a read of n streams brings up to n × COUNT.
    const width = Math.min(max, hot.length);
    if (width <= 0) return null;
    const first = this.#turn++ * width;
    const chosen = Array.from({ length: width }, (_, at) => hot[(first + at) % hot.length] as Source);
    this.#asked = max;
    const count = Math.floor(max / width);
    return Promise.all(chosen.map((source) => this.#fetch(source, count)))
      .then(
        (fetched) => void this.#ready.push(...fetched.flat()),
        (error: unknown) => this.#fail(error),
      )
      .finally(() => {
        this.#asked = 0;
        this.#reading = null;
      });
  }

  async #fetch(source: Source, count: number): Promise<OrderedDelivery[]> {
    const { ownership, keys, pending, returns, out } = source;
    const reply = await run<[Buffer, Entry[], number[]] | 0>(
      this.#options.client,
      READ,
      [ownership.keys.lease, keys.stream],
      [ownership.value, this.#options.group, count, pending ?? '>'],
    );
    if (reply === 0) this.#leases.lose(ownership);
    // What was given back meanwhile comes before this, which is pending and will be read again behind it.
    if (reply === 0 || ownership.state !== 'held' || source.returns !== returns) return [];
    const [said, entries, counts] = reply;
    const at = said.toString();
    if (pending !== null) source.pending = at === '' ? null : at;
    else {
      source.hot = at === '';
      source.seen = at === '' ? (entries.at(-1) as Entry)[0].toString() : at;
    }
    const deliveries: OrderedDelivery[] = [];
    for (const [index, entry] of entries.entries()) {
      const id = entry[0].toString();
      if (out.has(id)) continue;
      const receipt: OrderedReceipt = { source, id, state: 'out' };
      out.set(id, receipt);
      const times = pending === null ? 1 : (counts[index] ?? 1);
      deliveries.push(deliveryOf(entry, receipt, times, null, ownership.epoch));
    }
    return deliveries;
  }

  async #listen(skip: ReadonlySet<number> | undefined): Promise<void> {
    const sources = this.#all(skip).filter(({ hot }) => !hot);
    if (sources.length === 0) return new Promise(() => undefined); // until something wakes us
    try {
      for (const source of await this.#bell.wait(sources)) source.hot = true;
    } catch (error) {
      this.#fail(error);
    }
  }

  async #settle(source: Source, receipts: readonly OrderedReceipt[]): Promise<void> {
    const { ownership, keys, deletes, out } = source;
    for (let at = 0; at < receipts.length; at += CHUNK) {
      const part = receipts.slice(at, at + CHUNK);
      const first = [ownership.value, this.#options.group, deletes ? '1' : '0'];
      const ours = await run<number>(
        this.#options.client,
        SETTLE,
        [ownership.keys.lease, keys.stream],
        first.concat(part.map(({ id }) => id)),
      );
      if (ours !== 1) return this.#leases.lose(ownership);
      for (const receipt of part) {
        receipt.state = 'settled';
        out.delete(receipt.id);
      }
    }
    this.#options.trimmer.settled(keys, deletes);
  }
}
