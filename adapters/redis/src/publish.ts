import { randomBytes } from 'node:crypto';
import { Buffer } from 'node:buffer';
import { type OutgoingMessage, type SendOutcome, WaybillError } from '@waybill/core/adapter';
import type { Redis } from 'ioredis';
import { fieldsOf } from './entry.ts';
import { isReply, isUnsent } from './errors.ts';
import type { StreamKeys } from './keys.ts';
import type { Settings } from './options.ts';
import { run } from './scripts.ts';
import { SEND } from './topic-scripts.ts';

const PIPELINE = 250;
/** A script blocks the server while it runs. */
const SCRIPT = 100;
const REPLICA_TIMEOUT = 1_000;

/** Sends all, in their order on one connection, and tells what became of each. Never rejects. */
export async function send(
  client: Redis,
  keys: StreamKeys,
  messages: readonly OutgoingMessage[],
  settings: Settings,
): Promise<SendOutcome[]> {
  const scripted = settings.dedupWindow > 0 || messages.some(({ delay }) => delay > 0);
  const size = scripted ? SCRIPT : PIPELINE;
  const chunks: Promise<SendOutcome[]>[] = [];
  for (let at = 0; at < messages.length; at += size) {
    const chunk = messages.slice(at, at + size);
    chunks.push(
      scripted ? sendByScript(client, keys, chunk, settings.dedupWindow) : sendByPipeline(client, keys, chunk),
    );
  }
  const replicated = settings.durability === 'replicated' ? client.wait(settings.replicas, REPLICA_TIMEOUT) : null;
  const outcomes = (await Promise.all(chunks)).flat();
  return replicated === null ? outcomes : withReplicas(outcomes, replicated, settings.replicas);
}

async function sendByPipeline(
  client: Redis,
  { stream }: StreamKeys,
  messages: readonly OutgoingMessage[],
): Promise<SendOutcome[]> {
  const pipeline = client.pipeline();
  for (const message of messages) pipeline.xadd(stream, 'NOMKSTREAM', '*', ...fieldsOf(message));
  const results = (await pipeline.exec()) ?? [];
  return messages.map((_, index) => {
    const [error, id] = results[index] ?? [new Error('Connection is closed')];
    if (error) return { status: isReply(error) || isUnsent(error) ? 'rejected' : 'unknown', error };
    return typeof id === 'string' ? confirmed(id) : missing(stream);
  });
}

async function sendByScript(
  client: Redis,
  keys: StreamKeys,
  messages: readonly OutgoingMessage[],
  window: number,
): Promise<SendOutcome[]> {
  const args: (string | number | Buffer)[] = [window];
  for (const message of messages) {
    const fields = fieldsOf(message);
    args.push(Math.ceil(message.delay), randomBytes(16), fields.length, ...fields);
  }
  const marks = window > 0 ? messages.map(({ sendId }) => keys.dedup + sendId) : [];
  try {
    const reply = await run<Buffer[] | 0>(client, SEND, [keys.stream, keys.due, ...marks], args);
    if (reply === 0) return messages.map(() => missing(keys.stream));
    return reply.map((bytes) => {
      const said = bytes.toString();
      if (!said.startsWith('!')) return confirmed(said);
      return {
        status: 'rejected',
        error: Object.assign(new Error(said.slice(1).replace(/^-/, '')), { name: 'ReplyError' }),
      };
    });
  } catch (error) {
    // A script may fail after its first writes.
    const refused = /^(?:OOM|NOREPLICAS|READONLY|LOADING|MISCONF|NOPERM|BUSY)/.test((error as Error).message);
    const nothing = isUnsent(error) || (isReply(error) && refused);
    return messages.map(() => ({ status: nothing ? 'rejected' : 'unknown', error }));
  }
}

/** `WAIT` is a report and undoes nothing: with fewer answers it may be stored, and may be lost by a failover. */
async function withReplicas(
  outcomes: SendOutcome[],
  replicated: Promise<number>,
  wanted: number,
): Promise<SendOutcome[]> {
  let error: unknown;
  try {
    const got = await replicated;
    if (got >= wanted) return outcomes;
    error = new WaybillError('unavailable', `redis: ${got} of ${wanted} replicas have confirmed`);
  } catch (failure) {
    error = failure;
  }
  return outcomes.map((outcome) => (outcome.status === 'confirmed' ? { status: 'unknown', error } : outcome));
}

function confirmed(id: string): SendOutcome {
  return { status: 'confirmed', position: id === '' ? null : { '0': id } };
}

/** Publishing makes no stream: nobody would read it. */
function missing(stream: string): SendOutcome {
  return { status: 'rejected', error: new WaybillError('not-found', `redis: the stream '${stream}' does not exist`) };
}
