import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { assign, patiently, type SubscriptionSpec } from '@waybill/core/adapter';
import { ACQUIRE, BEAT, RELEASE_LEASE, RENEW } from './ordered-scripts.ts';
import type { Client } from './connection.ts';
import { classify, isReply } from './errors.ts';
import type { LeaseKeys } from './keys.ts';
import { run } from './scripts.ts';

/** How often to look who is there; and for a partition that ought to be ours and is still another's. */
const BEAT_EVERY = 250;
const ACQUIRE_EVERY = 50;
/** A refusal that passes. Until then the leases go on, as long as they last. */
const passing = new Set(['throttled', 'unavailable', 'timeout']);

/** One partition that is ours, for as long as its lease could be renewed. */
export class Ownership {
  readonly partition: number;
  readonly keys: LeaseKeys;
  /** Of the lease, which every change at the server is checked against. */
  readonly value: string;
  readonly epoch: number;
  /** By stream: up to here the group was given its entries. */
  readonly delivered: readonly string[];
  /** Nobody else's before this (monotonic), whatever the server's clock does meanwhile. */
  until = 0;
  renewedAt = 0;
  /** `leaving`: core finishes what it has. Nothing new is read, and what is settled still counts. */
  state: 'held' | 'leaving' | 'gone' = 'held';
  /** Taken because its proper owner did not: kept as long as these are the members. */
  readonly strayOf: string | null;

  constructor(
    partition: number,
    keys: LeaseKeys,
    member: string,
    [epoch, ...delivered]: readonly [number, ...Buffer[]],
    strayOf: string | null,
  ) {
    this.partition = partition;
    this.keys = keys;
    this.value = `${member}:${epoch}`;
    this.epoch = epoch;
    this.delivered = delivered.map(String);
    this.strayOf = strayOf;
  }
}

export interface LeasesOptions {
  readonly client: Client;
  readonly spec: Pick<SubscriptionSpec, 'consumer' | 'lease' | 'onAssigned' | 'onRevoked' | 'onLost'>;
  /** The group's name at the server. */
  readonly group: string;
  /** By partition: the keys of its lease, and the streams that belong to it. */
  readonly partitions: readonly { readonly keys: LeaseKeys; readonly streams: readonly string[] }[];
  /** The key of the group's live members. */
  readonly members: string;
  readonly acquired: (ownership: Ownership) => void;
  /** It is not read any more. */
  readonly parted: (ownership: Ownership) => void;
  /** This subscription can't go on. */
  readonly failed: (error: unknown) => void;
}

/**
 * Which partitions this consumer owns. Core's rule says who should hold which; the leases, fenced by an epoch that only
 * grows, see to it that nobody else does.
 */
export class Leases {
  readonly owned: Map<number, Ownership> = new Map();
  readonly #options: LeasesOptions;
  readonly #lease: number;
  /** Given up so much earlier than the server would: timers are late, and clocks don't run alike. */
  readonly #margin: number;
  readonly #member: string;
  readonly #guard: NodeJS.Timeout;
  /** Partitions not tried yet: a lease of this consumer's name is that of a former self, which has lost its connection. */
  readonly #untried: Set<number>;
  #first = true;
  #members = '';
  #wanted: ReadonlySet<number> = new Set();
  /** Partitions of others that were free when last looked at. */
  #free = new Set<number>();
  #lookedAt = performance.now();
  #stopped = false;
  #turning: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#lease = options.spec.lease;
    this.#margin = Math.min(1_000, this.#lease / 5);
    this.#member = `${options.spec.consumer}#${randomBytes(6).toString('hex')}`;
    this.#untried = new Set(options.partitions.keys());
    this.#guard = setInterval(() => this.#check(), Math.min(100, this.#lease / 20)).unref();
    // Later, so that nobody hears of partitions before `subscribe` has resolved.
    this.#timer = setTimeout(() => this.#run());
  }

  /** The server has said that it is another's. */
  lose(...lost: readonly Ownership[]): void {
    const gone = lost.filter((one) => this.#part(one));
    if (gone.length > 0) this.#options.spec.onLost(gone.map(({ partition }) => partition));
  }

  /** Lets all go, so that others may go on at once. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#guard);
    if (this.#timer !== null) clearTimeout(this.#timer);
    await patiently(this.#turning, 1_000);
    const { client, members } = this.#options;
    const held = [...this.owned.values()];
    for (const one of held) this.#part(one);
    if (client.status !== 'ready') return;
    await Promise.all([client.zrem(members, this.#member), ...held.map((one) => this.#letGo(one))]);
  }

  #run(): void {
    if (this.#stopped) return;
    this.#turning = this.#turn()
      .catch((error: unknown) => {
        if (!isReply(error) || !passing.has(classify(error))) this.#options.failed(error);
      })
      .finally(() => {
        if (this.#stopped) return;
        const missing = [...this.#wanted].some((partition) => !this.owned.has(partition));
        const pause = Math.min(missing ? ACQUIRE_EVERY : BEAT_EVERY, this.#lease / 8);
        this.#timer = setTimeout(() => this.#run(), pause).unref();
      });
  }

  async #turn(): Promise<void> {
    const { client, members, spec, partitions } = this.#options;
    const now = performance.now();
    const due = [...this.owned.values()].filter(({ renewedAt }) => now - renewedAt >= this.#lease / 4);
    const former = this.#first ? `${spec.consumer}#` : '';
    const beating = run<Buffer[]>(client, BEAT, [members], [this.#member, this.#lease, former]);
    await Promise.all([beating, ...due.map((one) => this.#renew(one))]);
    this.#first = false;
    const live = (await beating).map(String);
    if (this.#members !== live.join()) {
      this.#members = live.join();
      this.#wanted = new Set(assign(live, partitions.length).get(this.#member));
    }
    const surplus = [...this.owned.values()].filter(
      ({ partition, state, strayOf }) => state === 'held' && !this.#wanted.has(partition) && strayOf !== this.#members,
    );
    if (surplus.length > 0) void this.#revoke(surplus);
    await this.#acquire(
      [...this.#wanted].filter((partition) => !this.owned.has(partition)),
      null,
    );
    if (now - this.#lookedAt >= Math.max(this.#lease / 4, BEAT_EVERY)) await this.#lookForStrays(now);
  }

  async #renew(one: Ownership): Promise<void> {
    const asked = performance.now();
    const ours = await run<number>(this.#options.client, RENEW, [one.keys.lease], [one.value, this.#lease]);
    if (ours !== 1) return this.lose(one);
    one.until = asked + this.#lease - this.#margin;
    one.renewedAt = asked;
  }

  async #acquire(wanted: readonly number[], strayOf: string | null): Promise<void> {
    const { client, spec, group, partitions } = this.#options;
    const taken: Ownership[] = [];
    const trying = wanted.map(async (partition) => {
      const { keys, streams } = partitions[partition] as LeasesOptions['partitions'][number];
      const former = this.#untried.delete(partition) ? `${spec.consumer}#` : '';
      const asked = performance.now();
      const got = await run<0 | [number, ...Buffer[]]>(
        client,
        ACQUIRE,
        [keys.lease, keys.epoch, ...streams],
        [this.#member, this.#lease, former, group],
      );
      if (got === 0) return;
      const one = new Ownership(partition, keys, this.#member, got, strayOf);
      one.until = asked + this.#lease - this.#margin;
      one.renewedAt = asked;
      if (this.#stopped) return this.#letGo(one);
      this.owned.set(partition, one);
      taken.push(one);
    });
    await Promise.all(trying);
    if (taken.length === 0) return;
    spec.onAssigned(taken.map(({ partition }) => partition));
    for (const one of taken) this.#options.acquired(one);
  }

  /** Anyone may take what is free, so that no partition waits for a member that lives and does not take it. */
  async #lookForStrays(now: number): Promise<void> {
    this.#lookedAt = now;
    const { client, partitions } = this.#options;
    const others = [...partitions.entries()].filter(([partition]) => !this.owned.has(partition));
    const found = await Promise.all(
      others.map(async ([partition, { keys }]) => ({ partition, free: (await client.exists(keys.lease)) === 0 })),
    );
    const free = new Set(found.filter((one) => one.free).map(({ partition }) => partition));
    const strays = [...free].filter((partition) => this.#free.has(partition));
    this.#free = free;
    await this.#acquire(strays, this.#members);
  }

  async #revoke(surplus: readonly Ownership[]): Promise<void> {
    for (const one of surplus) {
      one.state = 'leaving';
      this.#options.parted(one);
    }
    try {
      await this.#options.spec.onRevoked(surplus.map(({ partition }) => partition));
      const held = surplus.filter((one) => this.#part(one));
      await Promise.all(held.map((one) => this.#letGo(one)));
    } catch (error) {
      this.#options.failed(error);
    }
  }

  async #letGo({ keys, value }: Ownership): Promise<void> {
    await run(this.#options.client, RELEASE_LEASE, [keys.lease], [value]);
  }

  /** False where it was gone already. */
  #part(one: Ownership): boolean {
    if (one.state === 'gone') return false;
    one.state = 'gone';
    if (this.owned.get(one.partition) === one) this.owned.delete(one.partition);
    this.#options.parted(one);
    return true;
  }

  #check(): void {
    const now = performance.now();
    const over = [...this.owned.values()].filter(({ until }) => until <= now);
    if (over.length > 0) this.lose(...over);
  }
}
