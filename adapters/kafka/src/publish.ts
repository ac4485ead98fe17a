import { type OutgoingMessage, partitionOf, type SendOutcome, WaybillError } from '@waybill/core/adapter';
import type { OutgoingRecord } from './client.ts';
import type { Connection, Leaders } from './connection.ts';
import { classify, typeOf } from './errors.ts';
import type { Settings } from './options.ts';
import { recordOf } from './record.ts';

/** Of a record beside key, value and headers, at most; and of a header beside name and value. */
const RECORD = 40;
const HEADER = 10;
/** The broker waits for its replicas so much less than we wait for the broker. */
export const MARGIN = 0.8;

/** Messages of one partition that go as one record batch: the broker stores all of them or none. */
export interface Batch {
  readonly partition: number;
  /** Their places in the call. */
  readonly indexes: number[];
  readonly records: OutgoingRecord[];
}

/** Sends batches of one topic as one request, and tells what became of each. */
export type Produce = (topic: string, batches: readonly Batch[]) => Promise<readonly SendResult[]>;

/** The offset of the batch's first message; or the error, and whether it is certain that the batch is not stored. */
export type SendResult = { readonly base: string } | { readonly error: unknown; readonly stored: 'no' | 'maybe' };

/** What a publisher remembers of one topic. */
export interface Route {
  /** Partition of the last call's messages without a key: a whole call goes to one, for fuller batches. */
  turn: number;
}

/**
 * Sends all and tells what became of each. Messages of a partition go in their order: what is not confirmed holds back
 * what follows it there. Never rejects.
 */
export async function send(
  produce: Produce,
  topic: string,
  leaders: Leaders,
  messages: readonly OutgoingMessage[],
  settings: Pick<Settings, 'maxMessageBytes'>,
  route: Route,
): Promise<SendOutcome[]> {
  const outcomes: SendOutcome[] = messages.map(() => ({ status: 'skipped' }));
  let rest = batchesOf(messages, leaders.length, settings.maxMessageBytes, route);
  while (rest.length > 0) {
    // The first of each partition; the others follow when it is confirmed.
    const now: Batch[] = [];
    const later: Batch[] = [];
    const taken = new Set<number>();
    for (const batch of rest) {
      (taken.has(batch.partition) ? later : now).push(batch);
      taken.add(batch.partition);
    }
    const results = await produce(topic, now);
    const again: Batch[] = [];
    const failed = new Set<number>();
    for (const [at, batch] of now.entries()) {
      const result = results[at] as SendResult;
      if ('error' in result && result.stored === 'no' && batch.indexes.length > 1 && isOfOne(result.error))
        again.push(...singles(batch)); // one of them is to blame, and none is stored
      else {
        note(batch, result, outcomes);
        if ('error' in result) failed.add(batch.partition);
      }
    }
    const stays = ({ partition, indexes }: Batch): boolean =>
      !failed.has(partition) || indexes.every((index) => mayFollow(messages, outcomes, index));
    rest = [...again, ...later.filter(stays)];
  }
  return outcomes;
}

/** Whether a message has no key that an earlier one of the call, not confirmed, has too. */
function mayFollow(messages: readonly OutgoingMessage[], outcomes: readonly SendOutcome[], index: number): boolean {
  const key = messages[index]?.key ?? null;
  if (key === null) return true;
  for (let before = 0; before < index; before++)
    if (messages[before]?.key === key && outcomes[before]?.status !== 'confirmed') return false;
  return true;
}

/** Record batches of a topic's messages, those of a partition in their order. */
export function batchesOf(
  messages: readonly OutgoingMessage[],
  count: number,
  maxBytes: number,
  route: Route,
): Batch[] {
  const open = new Map<number, Batch & { bytes: number }>();
  const all: Batch[] = [];
  const now = Date.now();
  route.turn = (route.turn + 1) % count;
  for (const [index, message] of messages.entries()) {
    const { key } = message;
    const partition = message.partition ?? (key === null ? route.turn : partitionOf(key, count));
    const record = recordOf(message, now);
    const bytes = sizeOf(record);
    let batch = open.get(partition);
    if (batch === undefined || batch.bytes + bytes > maxBytes) {
      batch = { partition, indexes: [], records: [], bytes: 100 };
      open.set(partition, batch);
      all.push(batch);
    }
    batch.bytes += bytes;
    batch.indexes.push(index);
    batch.records.push(record);
  }
  return all;
}

const singles = ({ partition, indexes, records }: Batch): Batch[] =>
  indexes.map((index, at) => ({ partition, indexes: [index], records: [records[at] as OutgoingRecord] }));

function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let bytes = RECORD + value.length + (key === null ? 0 : key.length * 3);
  for (const name of Object.keys(headers)) bytes += HEADER + (name.length + (headers[name]?.length ?? 0)) * 2;
  return bytes;
}

function note({ partition, indexes }: Batch, result: SendResult, outcomes: SendOutcome[]): void {
  for (const [at, index] of indexes.entries())
    outcomes[index] =
      'base' in result
        ? { status: 'confirmed', position: { [partition]: following(result.base, at) } }
        : { status: result.stored === 'no' ? 'rejected' : 'unknown', error: result.error };
}

/** Offsets are 64 bits wide; most fit a number. */
function following(offset: string, by: number): string {
  return offset.length < 16 ? String(Number(offset) + by) : String(BigInt(offset) + BigInt(by));
}

/** Refused because of what one record is, or because of the size of all. */
function isOfOne(error: unknown): boolean {
  return /^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE|INVALID_RECORD|INVALID_TIMESTAMP)$/.test(typeOf(error));
}

/** The broker has answered that it did not store the batch. */
const refusals =
  /^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE|INVALID_\w+|UNKNOWN_TOPIC_OR_PARTITION|\w+_AUTHORIZATION_FAILED|NOT_LEADER_FOR_PARTITION|LEADER_NOT_AVAILABLE|NOT_ENOUGH_REPLICAS|UNSUPPORTED_\w+|POLICY_VIOLATION|CORRUPT_MESSAGE|KAFKA_STORAGE_ERROR|FENCED_LEADER_EPOCH|UNKNOWN_LEADER_EPOCH)$/;

/**
 * A request per broker, which takes the batches of all its partitions. kafkajs tells of a refused request only the
 * first refused partition's error, not what became of the others: then each partition has a request of its own, until
 * one goes well.
 */
export class Requests {
  readonly #connection: Connection;
  readonly #settings: Pick<Settings, 'timeout' | 'gzip'>;
  #apart = false;

  constructor(connection: Connection, settings: Pick<Settings, 'timeout' | 'gzip'>) {
    this.#connection = connection;
    this.#settings = settings;
  }

  readonly produce: Produce = async (topic, batches) => {
    let leaders: Leaders;
    try {
      leaders = await this.#connection.leaders(topic);
    } catch (error) {
      return batches.map(() => ({ error, stored: 'no' }));
    }
    const results: SendResult[] = [];
    const requests = new Map<string, number[]>();
    for (const [index, { partition }] of batches.entries()) {
      const leader = leaders[partition]?.leader ?? null;
      if (leader === null) {
        const error = new WaybillError('unavailable', `kafka: '${topic}' partition ${partition} has no leader`);
        results[index] = { error, stored: 'no' };
        continue;
      }
      const name = this.#apart ? `${leader} ${partition}` : `${leader}`;
      const list = requests.get(name) ?? [];
      requests.set(name, list);
      list.push(index);
    }
    await Promise.all(
      [...requests].map(async ([name, indexes]) => {
        const own = indexes.map((index) => batches[index] as Batch);
        const answers = await this.#request(topic, name.split(' ', 1)[0] as string, own);
        for (const [at, index] of indexes.entries()) results[index] = answers[at] as SendResult;
      }),
    );
    if (results.every((result) => 'base' in result)) return results;
    const answered = await this.#connection.leaders(topic, true).catch(() => null); // others may lead now
    if (answered === null || this.#connection.brokers.getNodeIds().length < 2) return results;
    return results.map((result) => ('error' in result ? { ...result, error: away(result.error) } : result));
  };

  async #request(topic: string, leader: string, batches: readonly Batch[]): Promise<readonly SendResult[]> {
    const { timeout, gzip } = this.#settings;
    let sent = false;
    try {
      const node = await this.#connection.node(leader);
      sent = true;
      const { topics } = await node.produce({
        acks: -1,
        timeout: Math.floor(timeout * MARGIN),
        compression: gzip ? 1 : 0,
        topicData: [{ topic, partitions: batches.map(({ partition, records }) => ({ partition, messages: records })) }],
      });
      const bases = new Map(topics[0]?.partitions.map(({ partition, baseOffset }) => [partition, baseOffset]));
      this.#apart = false;
      return batches.map(({ partition }) => ({ base: bases.get(partition) ?? '0' }));
    } catch (error) {
      const type = typeOf(error);
      if (!sent || isUnwritten(error)) return batches.map(() => ({ error, stored: 'no' }));
      if (batches.length === 1) return [{ error, stored: refusals.test(type) ? 'no' : 'maybe' }];
      this.#apart = true;
      return batches.map(() => ({ error: doubtful(error), stored: 'maybe' }));
    }
  }
}

/**
 * Known to be away before anything was written. An error of connecting does not tell: kafkajs also ends with it what was
 * written on the connection before.
 */
const isUnwritten = (error: unknown): boolean => error instanceof Error && error.message === 'Not connected';

/** One partition's refusal says nothing of the others, so core is to send all again. */
function doubtful(error: unknown): unknown {
  if (['disconnected', 'unavailable', 'timeout', 'throttled'].includes(classify(error))) return error;
  return unavailable('a partition of the request was refused', error);
}

/** One broker of several does not answer, and others do: the connection to the cluster stands, and another will lead. */
function away(error: unknown): unknown {
  return classify(error) === 'disconnected' ? unavailable('a broker is away', error) : error;
}

function unavailable(what: string, cause: unknown): WaybillError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new WaybillError('unavailable', `kafka: ${what}: ${said}`, { cause });
}
