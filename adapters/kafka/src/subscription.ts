import type {
  AdapterSubscription,
  Delivery,
  Output,
  Receipt,
  StartPosition,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import { WaybillError } from '@waybill/core/adapter';
import { Arrivals } from './arrivals.ts';
import { byTopic, Commits } from './commits.ts';
import type { Connection } from './connection.ts';
import type { OffsetReceipt } from './delivery.ts';
import { otherCount } from './errors.ts';
import { Fetcher } from './fetcher.ts';
import { committedOffsets, stableOffsets, topicOf } from './groups.ts';
import { type LeftBehind, Membership } from './membership.ts';
import type { Settings } from './options.ts';
import { offsetsOf, startOffsets } from './positions.ts';
import { Stream } from './stream.ts';
import { Transactions } from './transactions.ts';

export interface SubscriptionOptions {
  /** Of this subscription alone. */
  readonly connection: Connection;
  readonly settings: Settings;
  readonly spec: SubscriptionSpec;
  readonly groupId: string;
  readonly leftBehind: LeftBehind;
}

/**
 * One member of a Kafka group: competing consumers that share the partitions of a topic, and of the group's inbox with
 * them. Partitions come and go one by one; what stays is read on while others move.
 */
export class KafkaSubscription implements AdapterSubscription {
  /** While a receive waits, what it may bring. What is read ahead stays the client's until then. */
  reserved = 0;
  readonly #options: SubscriptionOptions;
  readonly #topic: string;
  readonly #topics: readonly string[];
  readonly #membership: Membership;
  readonly #fetcher: Fetcher;
  readonly #commits: Commits;
  readonly #arrivals = new Arrivals();
  readonly #transactions: Transactions | null;
  declare readonly transact?: NonNullable<AdapterSubscription['transact']>;
  /** What this member has, or is about to have, or has not let go of: the streams of each partition. */
  readonly #held = new Map<number, { state: 'starting' | 'reading' | 'leaving'; readonly streams: Stream[] }>();
  #assigned: ReadonlySet<number> = new Set();
  #starting: Promise<void> = Promise.resolve();
  #watch: NodeJS.Timeout | null = null;
  /** The most partitions that a topic was seen to have. */
  #most = 0;
  #closing: Promise<void> | null = null;

  constructor(options: SubscriptionOptions) {
    const { connection, settings, spec, groupId, leftBehind } = options;
    this.#options = options;
    this.#topic = topicOf(spec.destination);
    this.#topics = [this.#topic, ...(spec.inbox === null ? [] : [topicOf(spec.inbox)])];
    this.#membership = new Membership({
      connection,
      leftBehind,
      groupId,
      topics: this.#topics,
      lease: Math.round(spec.lease),
      counts: () => this.#counts(),
      claims: () => [...this.#held.keys()],
      onAssignment: (partitions) => {
        this.#assigned = new Set(partitions);
        this.#reconcile();
      },
      onLost: () => this.#lose(),
      onFailure: (error) => this.#fail(error),
    });
    this.#fetcher = new Fetcher({
      connection,
      settings,
      patience: spec.lease,
      outOfRange: (stream) => this.#jump(stream),
      onProgress: () => this.#progress(),
      onFailure: (error) => this.#fail(error),
    });
    this.#commits = new Commits(this.#membership, () => [...this.#held.values()].flatMap(({ streams }) => streams));
    this.#transactions = spec.transactional
      ? new Transactions({ connection, settings, groupId, consumer: spec.consumer, timeout: Math.round(spec.lease) })
      : null;
    if (spec.transactional) this.transact = (outputs, receipts) => this.#transact(outputs, receipts);
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  /** Resolves when the group has taken it in and its first partitions are read. */
  async open(): Promise<this> {
    try {
      this.#most = Math.max(...(await this.#counts()).values());
      await this.#transactions?.begin();
      await this.#membership.start();
      await this.#starting;
    } catch (error) {
      await this.close();
      throw error;
    }
    const { metadataAge } = this.#options.settings;
    this.#watch = setInterval(() => void this.#lookForGrowth(), metadataAge);
    return this;
  }

  async receive(max: number, signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]> {
    if (this.closed) throw new WaybillError('closed', 'kafka: the subscription is closed');
    this.reserved = max;
    try {
      return await this.#arrivals.take(() => this.#fetcher.take(max, skip), signal);
    } finally {
      this.reserved = 0;
    }
  }

  async ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    const all = receipts as readonly OffsetReceipt[];
    for (const receipt of all) receipt.stream.settle(receipt);
    await this.#commits.flush();
    this.#fetcher.wake();
    return all.map(({ stream }) => (stream.owned ? 'ok' : 'lost'));
  }

  /** Offsets of another generation are refused, and with them the whole transaction. */
  async #transact(outputs: readonly Output[], receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]> {
    const all = receipts as readonly OffsetReceipt[];
    const owned = (): boolean => all.every(({ stream }) => stream.owned);
    const offsets = all.map(({ stream, next }) => [stream, next] as const);
    // Not in the middle of a join: the transaction would wait for its end, and readers of the results with it.
    await this.#membership.commit(() => []);
    const done = await this.#transactions?.run(outputs, (send) =>
      this.#membership.commit(() => (owned() ? byTopic(offsets) : []), send),
    );
    if (done !== true) {
      if (owned())
        throw new WaybillError('unavailable', `kafka: group '${this.#options.groupId}' has changed meanwhile`);
      return all.map(({ stream }) => (stream.owned ? 'ok' : 'lost'));
    }
    for (const receipt of all) {
      receipt.stream.settle(receipt);
      receipt.stream.committed = receipt.next;
    }
    this.#fetcher.wake();
    return all.map(() => 'ok');
  }

  /** Of the topic, in the partitions that this consumer has. The group's inbox goes on. */
  async seek(position: StartPosition): Promise<void> {
    const { connection } = this.#options;
    const offsets = await startOffsets(connection, this.#topic, position);
    const fresh: Stream[] = [];
    for (const [partition, { state, streams }] of this.#held) {
      const from = offsets.get(partition);
      const old = streams.find(({ origin }) => origin === 'topic');
      if (state === 'reading' && old !== undefined && from !== undefined) fresh.push(this.#replace(streams, old, from));
    }
    await this.#goOn(fresh);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#arrivals.close();
    this.#fetcher.stop();
    await this.#membership.leave();
    if (this.#options.spec.destination.kind === 'dead-letter') await this.#clear().catch(() => undefined);
    for (const { streams } of this.#held.values()) this.#drop(streams);
    await this.#options.connection.close();
  }

  /** Dead letters that were taken are gone for good, as far as this user may delete. Nobody else reads them. */
  async #clear(): Promise<void> {
    const { connection, settings } = this.#options;
    for (const { topic, partition, committed } of [...this.#held.values()].flatMap(({ streams }) => streams)) {
      const leader = (await connection.leaders(topic)).find((one) => one.partition === partition)?.leader ?? null;
      if (leader === null || committed === 0n) continue;
      const node = await connection.node(leader);
      const topics = [{ topic, partitions: [{ partition, offset: String(committed) }] }];
      await node.deleteRecords({ topics, timeout: settings.timeout });
    }
  }

  /** Lets go of what is not assigned any more, and begins with what is new. */
  #reconcile(): void {
    const gone = [...this.#held].filter(
      ([partition, { state }]) => state === 'reading' && !this.#assigned.has(partition),
    );
    if (gone.length > 0) void this.#revoke(gone.map(([partition]) => partition));
    const fresh = [...this.#assigned].filter((partition) => !this.#held.has(partition));
    if (fresh.length > 0) this.#starting = this.#start(fresh);
    this.#starting.catch((error: unknown) => this.#fail(error));
  }

  async #start(partitions: readonly number[]): Promise<void> {
    const { connection, spec, groupId } = this.#options;
    const mine = partitions.map((partition) => {
      const held = { state: 'starting' as 'starting' | 'reading', streams: [] as Stream[] };
      this.#held.set(partition, held);
      return [partition, held] as const;
    });
    const streams: Stream[] = [];
    for (const topic of this.#topics) {
      const origin = topic === this.#topic ? 'topic' : 'inbox';
      const wanted = (): boolean =>
        !this.closed && mine.some(([partition, held]) => this.#held.get(partition) === held);
      const committed = spec.transactional
        ? await stableOffsets(connection, groupId, topic, wanted)
        : await committedOffsets(connection, groupId, topic);
      // The group was placed before: what has no place is an inbox that is new, or a partition that the topic was given since.
      const isNew = partitions.some((partition) => !committed.has(partition));
      const first = isNew ? await startOffsets(connection, topic, 'held') : committed;
      for (const [partition, held] of mine) {
        const from = committed.get(partition) ?? first.get(partition);
        if (from === undefined || this.#held.get(partition) !== held) continue;
        const stream = new Stream({ topic, partition, origin, from, end: null });
        held.streams.push(stream);
        streams.push(stream);
      }
    }
    const owned = mine.filter(([partition, held]) => this.#held.get(partition) === held);
    if (owned.length === 0 || this.closed) return;
    for (const [, held] of owned) held.state = 'reading';
    spec.onAssigned(owned.map(([partition]) => partition));
    await this.#fetcher.add(streams.filter(({ live }) => live));
    this.#reconcile();
  }

  /** Orderly: nothing more is handed out, core settles what it can, and then the group may give them to others. */
  async #revoke(partitions: readonly number[]): Promise<void> {
    const leaving = partitions.flatMap((partition) => {
      const held = this.#held.get(partition);
      if (held === undefined) return [];
      held.state = 'leaving';
      for (const stream of held.streams) this.#fetcher.remove(stream);
      return [[partition, held] as const];
    });
    await this.#options.spec.onRevoked(partitions);
    for (const [partition, held] of leaving) {
      this.#drop(held.streams);
      if (this.#held.get(partition) === held) this.#held.delete(partition);
    }
    if (this.closed) return;
    this.#reconcile();
    this.#membership.joinAgain();
  }

  /** Others may have them already. */
  #lose(): void {
    const partitions = [...this.#held.keys()];
    for (const { streams } of this.#held.values()) this.#drop(streams);
    this.#held.clear();
    this.#assigned = new Set();
    if (partitions.length > 0) this.#options.spec.onLost(partitions);
  }

  #drop(streams: readonly Stream[]): void {
    for (const stream of streams) {
      this.#fetcher.remove(stream);
      stream.owned = false;
    }
  }

  #fail(error: unknown): void {
    this.#fetcher.stop();
    this.#arrivals.fail(error);
  }

  #progress(): void {
    this.#arrivals.ring();
    // Behind the last message there may be records that nobody is handed: they are settled with it.
    for (const stream of this.#fetcher.streams)
      if (stream.idle && stream.settled > stream.committed) {
        this.#commits.flush().catch((error: unknown) => this.#fail(error));
        return;
      }
  }

  /** What was to be read next was deleted, by retention or by hand, or the topic is another one. */
  async #jump(stream: Stream): Promise<void> {
    const { connection, settings, groupId } = this.#options;
    const { topic, partition, position } = stream;
    const [low, high] = await Promise.all([
      offsetsOf(connection, topic, 'earliest'),
      offsetsOf(connection, topic, 'latest'),
    ]);
    const { onOutOfRange } = settings;
    const what = `kafka: group '${groupId}' was to read '${topic}' partition ${partition} from offset ${position}, which is not there (it has ${low.get(partition)} to ${high.get(partition)})`;
    if (onOutOfRange === 'fail') throw new WaybillError('unavailable', `${what}; reset the group, or set onOutOfRange`);
    const to = (onOutOfRange === 'latest' ? high : low).get(partition) ?? 0n;
    process.emitWarning(`${what}; it goes on at ${to}`, { type: 'WaybillWarning', code: 'WAYBILL_KAFKA_OUT_OF_RANGE' });
    const streams = this.#held.get(partition)?.streams;
    if (streams?.includes(stream) === true) await this.#goOn([this.#replace(streams, stream, to)]);
  }

  /** Another life of a stream, from elsewhere: receipts of the old one settle nothing. */
  #replace(streams: Stream[], old: Stream, from: bigint): Stream {
    const { topic, partition, origin } = old;
    this.#drop([old]);
    const fresh = new Stream({ topic, partition, origin, from, end: null });
    streams[streams.indexOf(old)] = fresh;
    return fresh;
  }

  async #goOn(streams: readonly Stream[]): Promise<void> {
    await this.#commits.place(streams);
    await this.#fetcher.add(streams.filter(({ owned }) => owned));
  }

  /** How many partitions each topic has, which for an ordered one must stay what was configured (O7). */
  async #counts(): Promise<ReadonlyMap<string, number>> {
    const { connection, spec } = this.#options;
    const counts = new Map<string, number>();
    for (const topic of this.#topics) {
      const count = (await connection.leaders(topic, true)).length;
      const { partitions, name } = spec.destination;
      if (partitions !== null && count !== partitions) throw otherCount(name, count, partitions);
      counts.set(topic, count);
    }
    return counts;
  }

  async #lookForGrowth(): Promise<void> {
    try {
      const counts = await this.#counts();
      const most = Math.max(...counts.values());
      if (most > this.#most) this.#membership.joinAgain();
      this.#most = most;
    } catch (error) {
      if (WaybillError.is(error) && error.code === 'invalid') this.#fail(error);
    }
  }
}
