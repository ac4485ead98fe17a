import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, type Output, type OutgoingMessage, WaybillError } from '@waybill/core/adapter';
import type { Node, ProducerIdentity } from './client.ts';
import type { Connection } from './connection.ts';
import { classify, otherCount, typeOf } from './errors.ts';
import { commitInTransaction, type Identity } from './flexible.ts';
import { topicOf } from './groups.ts';
import type { OffsetCommit } from './membership.ts';
import type { Settings } from './options.ts';
import { type Batch, batchesOf, MARGIN } from './publish.ts';

/** Between tries while the coordinator still ends the transaction before; then longer. */
const PAUSE_MIN = 2;
const PAUSE_MAX = 50;
/** How long an abort is tried. */
const ABORTING = 500;
/** Sequence numbers have 31 bits and begin again. */
const SEQUENCES = 2 ** 31;

export interface TransactionsOptions {
  /** Of the subscription alone. */
  readonly connection: Connection;
  readonly settings: Settings;
  readonly groupId: string;
  /** Unique among the group's live consumers, the same in each life of one. */
  readonly consumer: string;
  /** Milliseconds after which the broker aborts a transaction that nobody ends. */
  readonly timeout: number;
}

/** Commits offsets as a member of the group; false when the group has thrown the member out. */
type CommitOffsets = (
  send: (node: Node, identity: Identity, topics: readonly OffsetCommit[]) => Promise<unknown>,
) => Promise<boolean>;

/** A record batch on its way. */
interface Part extends Batch {
  readonly topic: string;
  readonly leader: number;
  readonly firstSequence: number;
}

/**
 * The transactions of one consumer: one producer for all its partitions, since each commit proves the generation of its
 * member (KIP-447). One at a time. What fails is aborted, and then a new life begins: a producer of the same
 * transactional id, which has the broker decide what the one before has left undecided.
 */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #transactionalId: string;
  readonly #sequences = new Map<string, number>();
  #producer: ProducerIdentity | null = null;
  #coordinator: Node | null = null;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    this.#transactionalId = `${options.groupId}__${options.consumer}`;
  }

  /** Fences the life before, and resolves when nothing of it is undecided: offsets must be read after this. */
  async begin(): Promise<void> {
    const { timeout } = this.#options;
    const transactionalId = this.#transactionalId;
    const found = await this.#ask((node) => node.initProducerId({ transactionalId, transactionTimeout: timeout }));
    const { producerId, producerEpoch } = found;
    this.#producer = { transactionalId, producerId, producerEpoch };
  }

  /**
   * Stores outputs and offsets, all or nothing. False when the offsets are not this member's to commit: then nothing has
   * happened.
   *
   * @throws when it failed, or nobody knows: the next life will
   */
  async run(outputs: readonly Output[], commitOffsets: CommitOffsets): Promise<boolean> {
    const producer = this.#producer as ProducerIdentity;
    const parts = await this.#partsOf(outputs);
    let committed = false;
    try {
      const topics = [...grouped(parts, ({ topic }) => topic)].map(([topic, own]) => ({
        topic,
        partitions: [...new Set(own.map(({ partition }) => partition))],
      }));
      await this.#ask((node) => node.addPartitionsToTxn({ ...producer, topics }));
      const { groupId } = this.#options;
      await this.#ask((node) => node.addOffsetsToTxn({ ...producer, groupId }));
      // Both have ended before the transaction is: a request that is late must not meet the next one.
      const [sent, placed] = await Promise.allSettled([
        this.#produce(producer, parts),
        commitOffsets(async (node, identity, offsets) => {
          await fenced(commitInTransaction(node, producer, identity, offsets));
          committed = true;
        }),
      ]);
      for (const one of [sent, placed]) if (one.status === 'rejected') throw one.reason;
      committed &&= placed.status === 'fulfilled' && placed.value;
    } catch (error) {
      // So that readers of the results need not wait for the next life, which aborts it all the same.
      await this.#ask((node) => node.endTxn({ ...producer, transactionResult: false }), ABORTING).catch(
        () => undefined,
      );
      throw error;
    }
    await this.#ask((node) => node.endTxn({ ...producer, transactionResult: committed }));
    return committed;
  }

  async #partsOf(outputs: readonly Output[]): Promise<Part[]> {
    const { connection, settings } = this.#options;
    const parts: Part[] = [];
    for (const [topic, own] of grouped(outputs, ({ destination }) => topicOf(destination))) {
      const { partitions, name } = (own[0] as { destination: Destination }).destination;
      const leaders = await connection.leaders(topic);
      if (partitions !== null && leaders.length !== partitions) throw otherCount(name, leaders.length, partitions);
      const messages: OutgoingMessage[] = own.map(({ message }) => message);
      const route = { turn: Math.floor(Math.random() * leaders.length) };
      for (const batch of batchesOf(messages, leaders.length, settings.maxMessageBytes, route)) {
        const leader = leaders[batch.partition]?.leader ?? null;
        if (leader === null)
          throw new WaybillError('unavailable', `kafka: '${topic}' partition ${batch.partition} has no leader`);
        const place = `${topic} ${batch.partition}`;
        const firstSequence = this.#sequences.get(place) ?? 0;
        this.#sequences.set(place, (firstSequence + batch.records.length) % SEQUENCES);
        parts.push({ ...batch, topic, leader, firstSequence });
      }
    }
    return parts;
  }

  /** A request per leader, with one batch of each partition; then the next ones. */
  async #produce(producer: ProducerIdentity, parts: readonly Part[]): Promise<void> {
    let rest = parts;
    while (rest.length > 0) {
      const taken = new Set<string>();
      const now = rest.filter(({ topic, partition }) => {
        const place = `${topic} ${partition}`;
        return !taken.has(place) && taken.add(place) !== undefined;
      });
      rest = rest.filter((part) => !now.includes(part));
      const sent = await Promise.allSettled(
        [...grouped(now, ({ leader }) => leader)].map(([leader, own]) => this.#send(producer, leader, own)),
      );
      for (const one of sent) if (one.status === 'rejected') throw one.reason;
    }
  }

  async #send(producer: ProducerIdentity, leader: number, parts: readonly Part[]): Promise<void> {
    const { connection, settings } = this.#options;
    const node = await connection.node(leader);
    await node.produce({
      ...producer,
      acks: -1,
      timeout: Math.floor(settings.timeout * MARGIN),
      compression: settings.gzip ? 1 : 0,
      topicData: [...grouped(parts, ({ topic }) => topic)].map(([topic, own]) => ({
        topic,
        partitions: own.map(({ partition, firstSequence, records }) => ({
          partition,
          firstSequence,
          messages: records,
        })),
      })),
    });
  }

  /**
   * Asks the coordinator of the transactions something that may be asked again. It refuses while it still ends the
   * transaction before, and while it moves, starts or comes back.
   */
  async #ask<T>(ask: (node: Node) => Promise<T>, patience = this.#options.settings.timeout): Promise<T> {
    const { connection } = this.#options;
    const until = performance.now() + patience;
    for (let pause = PAUSE_MIN; ; pause = Math.min(PAUSE_MAX, pause * 1.5)) {
      try {
        if (this.#coordinator?.isConnected() !== true)
          this.#coordinator = await connection.coordinator(this.#transactionalId, 'transactions');
        return await ask(this.#coordinator);
      } catch (error) {
        const busy = typeOf(error) === 'CONCURRENT_TRANSACTIONS';
        const away = /COORDINATOR|GROUP_LOAD_IN_PROGRESS/.test(typeOf(error)) || classify(error) === 'disconnected';
        if ((!busy && !away) || connection.closed || performance.now() > until) throw error;
        if (away) this.#coordinator = null;
        await sleep(busy ? pause : PAUSE_MAX);
      }
    }
  }
}

function grouped<K, T>(items: readonly T[], of: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(of(item));
    if (group === undefined) groups.set(of(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** Who takes a producer that was fenced for a coordinator that is away would ask it for long. */
async function fenced(sending: Promise<void>): Promise<void> {
  try {
    await sending;
  } catch (error) {
    if (!/PRODUCER|TXN/.test(typeOf(error))) throw error;
    const said = error instanceof Error ? error.message : String(error);
    throw new WaybillError('unavailable', `kafka: the transaction is over: ${said}`, { cause: error });
  }
}
