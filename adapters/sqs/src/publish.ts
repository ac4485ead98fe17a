import { setMaxListeners } from 'node:events';
import { type Destination, type OutgoingMessage, type SendOutcome, WaybillError } from '@waybill/core/adapter';
import { contentOf } from './entry.ts';
import { dedupIdOf, groupOfKey, groupOfMessage } from './names.ts';
import type { Parcel, Sender } from './sender.ts';
import { MOST_DELAY } from './supports.ts';

const SKIPPED: SendOutcome = Object.freeze({ status: 'skipped' });

/** Sends every message to every group, and tells what became of each. Never rejects. */
export async function send(
  destination: Destination,
  messages: readonly OutgoingMessage[],
  senders: readonly Sender[],
  fifo: boolean,
  signal: AbortSignal,
): Promise<SendOutcome[]> {
  setMaxListeners(2 * senders.length + 10, signal); // each sender listens
  const mostBytes = Math.min(...senders.map((sender) => sender.mostBytes));
  const made = messages.map((message) => entryOf(message, destination, fifo, mostBytes));
  const sent = senders.map(async (sender) => {
    const parcels = made.map((one) => ('outcome' in one ? one : { ...one, outcome: SKIPPED }));
    await sender.send(runsOf(parcels, messages, fifo && destination.ordered), signal);
    return parcels;
  });
  const all = await Promise.all(sent);
  return messages.map((_, index) => together(all.map((parcels) => (parcels[index] as Parcel).outcome)));
}

/** In runs of one key where its order is kept. What can't be sent holds back what follows it of its key. */
function runsOf(parcels: readonly Parcel[], messages: readonly OutgoingMessage[], ordered: boolean): Parcel[][] {
  if (!ordered) return parcels.filter(({ outcome }) => outcome === SKIPPED).map((parcel) => [parcel]);
  const runs = new Map<string, Parcel[]>();
  const refused = new Set<string>();
  for (const [index, parcel] of parcels.entries()) {
    const { key, id } = messages[index] as OutgoingMessage;
    const of = key === null ? `no key ${id}` : `key ${key}`;
    if (parcel.outcome !== SKIPPED) refused.add(of);
    if (refused.has(of)) continue;
    const run = runs.get(of);
    if (run === undefined) runs.set(of, [parcel]);
    else run.push(parcel);
  }
  return [...runs.values()];
}

/** What a send takes, or a parcel that has its outcome: it can't be sent. */
function entryOf(
  message: OutgoingMessage,
  { kind, name }: Destination,
  fifo: boolean,
  mostBytes: number,
): Omit<Parcel, 'outcome'> | Parcel {
  const { id, key, delay, sendId } = message;
  const { bytes, ...content } = contentOf(message);
  const seconds = Math.ceil(delay / 1_000);
  const error =
    bytes > mostBytes
      ? new WaybillError(
          'too-large',
          `message for '${name}' has ${bytes} bytes with its headers; allowed: at most ${mostBytes}`,
        )
      : seconds > MOST_DELAY || (fifo && seconds > 0)
        ? new WaybillError('unsupported', `message for '${name}' has a delay of ${seconds} s, which SQS does not take`)
        : null;
  if (error !== null) return { entry: content, bytes, outcome: { status: 'rejected', error } };
  if (!fifo) return { entry: seconds > 0 ? { ...content, DelaySeconds: seconds } : content, bytes };
  // One dead letter looked at must not hide the others of its key, so each is a group of its own.
  const group = key === null || kind === 'dead-letter' ? groupOfMessage(`${id} ${sendId}`) : groupOfKey(key);
  return { entry: { ...content, MessageGroupId: group, MessageDeduplicationId: dedupIdOf(sendId) }, bytes };
}

/** Confirmed when every queue has it, rejected when none has; else it is stored in part. */
function together(outcomes: readonly SendOutcome[]): SendOutcome {
  const [only] = outcomes;
  if (outcomes.length === 1 && only !== undefined) return only;
  if (outcomes.every(({ status }) => status === 'confirmed')) return { status: 'confirmed', position: null };
  if (outcomes.every(({ status }) => status === 'skipped')) return SKIPPED;
  const stored = outcomes.filter(({ status }) => status === 'confirmed' || status === 'unknown').length;
  const [failed] = outcomes.flatMap((one) => ('error' in one ? [one.error] : []));
  const error = failed ?? new WaybillError('unavailable', 'sqs: an earlier message of its key was not confirmed');
  return { status: stored === 0 ? 'rejected' : 'unknown', error };
}
