import { randomBytes } from 'node:crypto';
import { Buffer } from 'node:buffer';
import { type OutgoingMessage, type SendOutcome, WaybillError } from '@waybill/core/adapter';
import type { Client } from './connection.ts';
import { fieldsOf } from './entry.ts';
import { classify, isReply, isUnsent } from './errors.ts';
import type { StreamKeys } from './keys.ts';
import type { Settings } from './options.ts';
import { run } from './scripts.ts';
import { ADD, SEND } from './topic-scripts.ts';

/** So many go as commands of their own: sooner there. More go by a script, which costs the client half as much. */
const FEW = 8;
/** A script blocks the server while it runs. */
const SCRIPT = 100;
/** Without dedup marks a script is quicker, and each further one costs an ordered partition a round trip. */
const LEAN_SCRIPT = 250;
const REPLICA_TIMEOUT = 1_000;

type Wanted = Pick<Settings, 'dedupWindow' | 'durability' | 'replicas'>;

/** Sends all, in their order on one connection, and tells what became of each. Never rejects. */
export async function send(
  client: Client,
  keys: StreamKeys,
  messages: readonly OutgoingMessage[],
  settings: Wanted,
): Promise<SendOutcome[]> {
  const { dedupWindow } = settings;
  const special = dedupWindow > 0 || messages.some(({ delay }) => delay > 0);
  const way = (chunk: readonly OutgoingMessage[]): Promise<SendOutcome[]> => {
    if (special) return sendByScript(client, keys, 0, chunk, dedupWindow);
    return chunk.length > FEW ? sendTogether(client, keys, chunk) : sendOneByOne(client, keys, chunk);
  };
  const chunks: Promise<SendOutcome[]>[] = [];
  for (let at = 0; at < messages.length; at += SCRIPT) chunks.push(way(messages.slice(at, at + SCRIPT)));
  return replicated(client, Promise.all(chunks), settings);
}

/**
 * Sends to the streams of an ordered topic, all of them at once, each by one script after another: what was refused, or
 * may have been lost with its answer, holds back what follows it of its key. Never rejects.
 */
export async function sendInOrder(
  client: Client,
  streams: readonly StreamKeys[],
  messages: readonly OutgoingMessage[],
  settings: Wanted,
): Promise<SendOutcome[]> {
  const shares = new Map<number, number[]>();
  for (const [index, { partition }] of messages.entries()) {
    const share = shares.get(partition ?? 0);
    if (share === undefined) shares.set(partition ?? 0, [index]);
    else share.push(index);
  }
  const outcomes: SendOutcome[] = messages.map(() => ({ status: 'skipped' }));
  const sending = [...shares].map(async ([partition, share]) => {
    const keys = streams[partition] as StreamKeys;
    const own = share.map((index) => messages[index] as OutgoingMessage);
    const sent = await replicated(client, sendShare(client, keys, own, partition, settings.dedupWindow), settings);
    for (const [at, outcome] of sent.entries()) outcomes[share[at] as number] = outcome;
  });
  await Promise.all(sending);
  return outcomes;
}

async function sendShare(
  client: Client,
  keys: StreamKeys,
  messages: readonly OutgoingMessage[],
  partition: number,
  window: number,
): Promise<SendOutcome[][]> {
  const size = window > 0 ? SCRIPT : LEAN_SCRIPT;
  const chunks: SendOutcome[][] = [];
  const refused = new Set<string>();
  for (let start = 0; start < messages.length; start += size) {
    const chunk = messages.slice(start, start + size);
    const free = refused.size === 0 ? chunk : chunk.filter(({ key }) => key === null || !refused.has(key));
    const outcomes = free.length === 0 ? [] : await sendByScript(client, keys, partition, free, window);
    for (const [at, { key }] of free.entries())
      if (key !== null && outcomes[at]?.status !== 'confirmed') refused.add(key);
    let next = 0;
    chunks.push(chunk.map((one) => (one === free[next] ? (outcomes[next++] as SendOutcome) : { status: 'skipped' })));
  }
  return chunks;
}

async function sendOneByOne(
  client: Client,
  { stream }: StreamKeys,
  messages: readonly OutgoingMessage[],
): Promise<SendOutcome[]> {
  const pipeline = client.pipeline();
  for (const message of messages) pipeline.xadd(stream, 'NOMKSTREAM', '*', ...fieldsOf(message));
  const results = (await pipeline.exec()) ?? [];
  return messages.map((_, index) => {
    const [error, id] = results[index] ?? [new Error('Connection is closed')];
    if (error) return { status: isReply(error) || isUnsent(error) ? 'rejected' : 'unknown', error };
    return typeof id === 'string' ? confirmed(id, 0) : missing(stream);
  });
}

async function sendTogether(
  client: Client,
  { stream }: StreamKeys,
  messages: readonly OutgoingMessage[],
): Promise<SendOutcome[]> {
  const args: (string | Buffer)[] = [];
  for (const message of messages) {
    const [, body, , headers] = fieldsOf(message);
    args.push(body, headers);
  }
  return outcomesOf(run(client, ADD, [stream], args), stream, 0, messages);
}

async function sendByScript(
  client: Client,
  keys: StreamKeys,
  partition: number,
  messages: readonly OutgoingMessage[],
  window: number,
): Promise<SendOutcome[]> {
  const args: (string | number | Buffer)[] = [window];
  const numbers = new Map<string, number>();
  for (const message of messages) {
    const { key, delay } = message;
    const fields = fieldsOf(message);
    let number = key === null || message.partition === null ? 0 : numbers.get(key);
    if (number === undefined) numbers.set(key as string, (number = numbers.size + 1));
    args.push(number, Math.ceil(delay), delay > 0 ? randomBytes(16) : '', fields.length, ...fields);
  }
  const marks = window > 0 ? messages.map(({ sendId }) => keys.dedup + sendId) : [];
  const sending = run<Buffer[] | 0>(client, SEND, [keys.stream, keys.due, ...marks], args);
  return outcomesOf(sending, keys.stream, partition, messages);
}

/** What a script of `topic-scripts.ts` says of each message. */
async function outcomesOf(
  sending: Promise<Buffer[] | 0>,
  stream: string,
  partition: number,
  messages: readonly OutgoingMessage[],
): Promise<SendOutcome[]> {
  try {
    const reply = await sending;
    if (reply === 0) return messages.map(() => missing(stream));
    return reply.map((bytes) => {
      const said = bytes.toString();
      if (said === '~') return { status: 'skipped' };
      if (!said.startsWith('!')) return confirmed(said, partition);
      return {
        status: 'rejected',
        error: Object.assign(new Error(said.slice(1).replace(/^-/, '')), { name: 'ReplyError' }),
      };
    });
  } catch (error) {
    // A script may fail after its first writes.
    const refused = /^(?:OOM|NOREPLICAS|READONLY|LOADING|MISCONF|BUSY)/.test((error as Error).message);
    const nothing = isUnsent(error) || (isReply(error) && (refused || classify(error) === 'denied'));
    return messages.map(() => ({ status: nothing ? 'rejected' : 'unknown', error }));
  }
}

/** `WAIT` is a report and undoes nothing: with fewer answers it may be stored, and may be lost by a failover. */
async function replicated(
  client: Client,
  sending: Promise<SendOutcome[][]>,
  { durability, replicas }: Wanted,
): Promise<SendOutcome[]> {
  if (durability !== 'replicated') return (await sending).flat();
  const outcomes = (await sending).flat();
  let error: unknown;
  try {
    const got = await client.wait(replicas, REPLICA_TIMEOUT);
    if (got >= replicas) return outcomes;
    error = new WaybillError('unavailable', `redis: ${got} of ${replicas} replicas have confirmed`);
  } catch (failure) {
    error = failure;
  }
  return outcomes.map((outcome) => (outcome.status === 'confirmed' ? { status: 'unknown', error } : outcome));
}

function confirmed(id: string, partition: number): SendOutcome {
  return { status: 'confirmed', position: id === '' ? null : { [partition]: id } };
}

/** Publishing makes no stream: nobody would read it. */
function missing(stream: string): SendOutcome {
  return { status: 'rejected', error: new WaybillError('not-found', `redis: the stream '${stream}' does not exist`) };
}
