import { performance } from 'node:perf_hooks';
import {
  type AdapterSubscription,
  type Delivery,
  patiently,
  type Receipt,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Client } from './connection.ts';
import { deliveryOf, type EntryReceipt } from './delivery.ts';
import { compareIds, type Entry } from './entry.ts';
import { ACK, EXTEND, GIVE_BACK, RELEASE, run, type Script, TAKE } from './scripts.ts';
import type { Source, Upkeep } from './upkeep.ts';

const PATIENCE = 1_000; // what `close` waits for a poll
/** What a receive waits for one; a silent server's takes longer. */
const ANSWER = 900;
/** Longest block of a read. Given-back entries wake nobody, so they wait for its end. */
const BLOCK = 500;
/** Block on one of two streams, where `max` allows no more than one. */
const SHORT_BLOCK = 50;
/** A stream with a backlog is read alone so often before the other one has its turn: COUNT is for each. */
const ALONE = 3;
const GIVEN_BACK_EVERY = 250;
const SCAN_EVERY = 5_000;
/** Idle for longer than any lease. Not much more: what reaches back before 1970 the server takes as now. */
const LONG_IDLE = 365 * 86_400_000;
/** A script blocks the server while it runs, and Lua's `unpack` takes some 7,000 values. */
const CHUNK = { ack: 1_000, hand: 200 };

interface State extends Source {
  /** Own pending entries up to this id were read; null when all were. */
  history: string | null;
  /** Where to go on looking for idle entries; '' when the last look has ended. */
  scan: string;
  scanAt: number;
}

export interface SubscriptionOptions {
  readonly client: Client;
  /** For the blocking reads of this subscription alone. */
  readonly reader: Client;
  readonly spec: Pick<SubscriptionSpec, 'consumer' | 'lease'>;
  /** The group's name at the server. */
  readonly group: string;
  readonly sources: readonly Source[];
  readonly upkeep: Upkeep;
}

/** One consumer of a group: competing consumers on one stream, whose lease is the idle time of a pending entry. */
export class RedisSubscription implements AdapterSubscription {
  readonly #client: Client;
  readonly #reader: Client;
  readonly #group: string;
  readonly #consumer: string;
  readonly #lease: number;
  readonly #upkeep: Upkeep;
  readonly #sources: State[];
  readonly #topic: State;
  /** How often the topic's stream is to be read alone. */
  #more = 0;
  #asked = 0;
  #poll: Promise<void> | null = null;
  #ready: Delivery[] = [];
  #failure: unknown;
  #givenBackAt = 0;
  #closing: Promise<void> | null = null;

  constructor({ client, reader, spec, group, sources, upkeep }: SubscriptionOptions) {
    this.#client = client;
    this.#reader = reader;
    this.#group = group;
    this.#consumer = spec.consumer;
    this.#lease = spec.lease;
    this.#upkeep = upkeep;
    this.#sources = sources.map((source) => ({ ...source, history: '0-0', scan: '0-0', scanAt: 0 }));
    this.#topic = this.#sources[0] as State;
    void upkeep.run((error) => (this.#failure ??= error));
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  get reserved(): number {
    return this.#asked + this.#ready.length;
  }

  async receive(max: number, signal: AbortSignal): Promise<Delivery[]> {
    if (this.#closing !== null) throw new WaybillError('closed', 'redis: the subscription is closed');
    if (this.#ready.length === 0 && this.#failure === undefined) {
      this.#poll ??= this.#start(max);
      await patiently(this.#poll, ANSWER, signal); // the next call joins it
    }
    const now = performance.now(); // what waited here beyond its lease belongs to whoever claims it
    this.#ready = this.#ready.filter(({ leaseUntil }) => leaseUntil === null || leaseUntil > now);
    if (this.#ready.length === 0 && this.#failure !== undefined) throw this.#failure;
    return this.#ready.splice(0, max);
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    this.#upkeep.settled = true;
    const results = await this.#each(receipts, ACK, CHUNK.ack, ({ deletes }) => [deletes ? '1' : '0']);
    return results.map((mine) => (mine ? 'ok' : 'lost'));
  }

  async nack(receipts: readonly Receipt[]): Promise<void> {
    this.#givenBackAt = 0;
    await this.#each(receipts, GIVE_BACK, CHUNK.hand, () => [LONG_IDLE]);
  }

  async extend(receipts: readonly Receipt[], ms: number): Promise<readonly (number | 'lost')[]> {
    // The lease is an idle time that others wait for, so it can be cut short but not made longer than that.
    const lease = Math.min(ms, this.#lease);
    const until = performance.now() + lease;
    const results = await this.#each(receipts, EXTEND, CHUNK.hand, () => [Math.floor(this.#lease - lease)]);
    return results.map((mine) => (mine ? until : 'lost'));
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#upkeep.stop();
    // A read that may bring entries is let end, or they would lie with a consumer that is gone.
    if (this.#poll !== null) await patiently(this.#poll, PATIENCE);
    this.#reader.disconnect();
    this.#ready = [];
    if (this.#client.status !== 'ready') return;
    const released = this.#sources.map(({ keys, members }) =>
      run(this.#client, RELEASE, [keys.stream, ...members], [this.#group, this.#consumer, LONG_IDLE]).catch(
        () => undefined,
      ),
    );
    await patiently(Promise.all(released), 2 * PATIENCE);
  }

  #start(max: number): Promise<void> {
    this.#asked = max;
    return this.#read(max)
      .then(
        (deliveries) => void this.#ready.push(...deliveries),
        (error: unknown) => void (this.#failure ??= error),
      )
      .finally(() => {
        this.#asked = 0;
        this.#poll = null;
      });
  }

  async #read(max: number): Promise<Delivery[]> {
    for (const source of this.#sources) {
      while (source.history !== null) {
        const taken = await this.#take(source, max);
        if (taken.length > 0) return taken;
      }
    }
    const began = performance.now();
    const lookBack = began - this.#givenBackAt >= GIVEN_BACK_EVERY;
    for (const source of this.#sources) {
      if (source.scan === '' && began >= source.scanAt) source.scan = '0-0';
      if (!lookBack && source.scan === '') continue;
      const taken = await this.#take(source, max);
      if (taken.length > 0) return taken;
    }
    if (lookBack) this.#givenBackAt = began; // only once nothing was found: there may be more
    // COUNT is per stream, so a read of n streams brings up to n × COUNT.
    const width = Math.min(max, this.#sources.length);
    const count = Math.floor(max / width);
    const block = Math.min(BLOCK, Math.max(10, Math.floor(this.#lease / 4)));
    while (this.#more > 0) {
      this.#more -= 1;
      const fresh = await this.#fresh([this.#topic], max, 1);
      if (fresh.length < max) this.#more = 0;
      if (fresh.length > 0) return fresh;
    }
    do {
      this.#sources.push(this.#sources.shift() as State);
      const named = this.#sources.slice(0, width);
      const fresh = await this.#fresh(named, count, width < this.#sources.length ? SHORT_BLOCK : block);
      if (fresh.length >= count) this.#more = ALONE;
      if (fresh.length > 0) return fresh;
    } while (width < this.#sources.length && performance.now() - began < block && this.#closing === null);
    return [];
  }

  /** From the own pending list until that was read, then what was given back or is idle for a lease. */
  async #take(source: State, max: number): Promise<Delivery[]> {
    const own = source.history !== null;
    const asked = performance.now();
    const args = [this.#group, this.#consumer, max, source.history ?? '', this.#lease, own ? '' : source.scan];
    const [cursor, entries, counts] = await run<[Buffer, Entry[], number[]]>(
      this.#client,
      TAKE,
      [source.keys.stream],
      args,
    );
    const next = cursor.toString();
    if (own) source.history = next === '' ? null : next;
    else if (next !== source.scan) {
      source.scan = next;
      if (next === '') source.scanAt = asked + Math.min(SCAN_EVERY, this.#lease / 4);
    }
    return entries.map((entry, index) =>
      deliveryOf(entry, { source, id: entry[0].toString() }, counts[index] ?? 1, asked + this.#lease),
    );
  }

  async #fresh(sources: readonly State[], count: number, block: number): Promise<Delivery[]> {
    const asked = performance.now();
    const names = sources.map(({ keys }) => keys.stream);
    const from = sources.map(() => '>');
    const reply = await this.#reader.xreadgroupBuffer(
      'GROUP', this.#group, this.#consumer, 'COUNT', count, 'BLOCK', block, 'STREAMS', ...names, ...from,
    ); // prettier-ignore
    const deliveries: Delivery[] = [];
    for (const [name, entries] of (reply ?? []) as [Buffer, Entry[]][]) {
      const source = sources[names.indexOf(name.toString())] as State;
      // The lease from before the read, since nobody knows when within it the server counted from.
      for (const entry of entries)
        deliveries.push(deliveryOf(entry, { source, id: entry[0].toString() }, 1, asked + this.#lease));
    }
    return deliveries;
  }

  /** Runs an owner-checked script over receipts, in chunks of one stream. Per receipt: whether it was still ours. */
  async #each(
    receipts: readonly Receipt[],
    script: Script,
    chunk: number,
    args: (source: State) => (string | number)[],
  ): Promise<boolean[]> {
    const results = receipts.map(() => false);
    if (this.#closing !== null) return results; // all was given back
    const bySource = new Map<State, { id: string; index: number }[]>();
    for (const [index, receipt] of receipts.entries()) {
      const { source, id } = receipt as EntryReceipt<State>;
      const list = bySource.get(source);
      if (list === undefined) bySource.set(source, [{ id, index }]);
      else list.push({ id, index });
    }
    for (const [source, mine] of bySource) {
      if (mine.some(({ id }, at) => at > 0 && compareIds((mine[at - 1] as { id: string }).id, id) > 0))
        mine.sort((a, b) => compareIds(a.id, b.id));
      for (let at = 0; at < mine.length; at += chunk) {
        const part = mine.slice(at, at + chunk);
        const first = [this.#group, this.#consumer, ...args(source)];
        const reply = await run<Buffer>(
          this.#client,
          script,
          [source.keys.stream],
          first.concat(part.map(({ id }) => id)),
        );
        for (const [index, one] of part.entries()) results[one.index] = reply[index] === 0x31;
      }
    }
    return results;
  }
}
