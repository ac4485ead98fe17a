import { performance } from 'node:perf_hooks';
import type { BrowsedMessage, Lag } from '@waybill/core/adapter';
import { envelopeOf, type Reading } from './entry.ts';
import { type Receipt, Receipts } from './receipts.ts';
import type { Topology } from './topology.ts';

const counted = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
] as const;
/** Seconds for which a look hides what it has seen. */
const LOOK = 60;

/** What waits, is held or is delayed. SQS's counts need about a minute to settle, and it tells no age. */
export async function lagOf(topology: Topology, queue: string): Promise<Lag> {
  const attributes = await topology.attributes(queue);
  const count = counted.reduce((sum, name) => sum + Number(attributes[name] ?? 0), 0);
  return { count, age: null, exact: false };
}

/**
 * Looks at a queue by taking its messages and giving them back. It raises their counts of arrivals and hides them
 * meanwhile, so it is for dead letters only.
 */
export async function browseQueue(
  topology: Topology,
  queue: string,
  max: number,
  reading: Reading,
): Promise<BrowsedMessage[]> {
  const seen = new Map<string, BrowsedMessage>();
  const held: Receipt[] = [];
  try {
    for (let empty = 0; empty < 2 && seen.size < max;) {
      const since = performance.now();
      const { Messages = [] } = await topology.call(
        'ReceiveMessage',
        queue,
        {
          MaxNumberOfMessages: Math.min(10, max - seen.size),
          WaitTimeSeconds: empty, // asks all servers before it says that there is no more
          VisibilityTimeout: LOOK,
          MessageSystemAttributeNames: ['All'],
          MessageAttributeNames: ['All'],
        },
        { patience: 1_000 },
      );
      empty = Messages.length === 0 ? empty + 1 : 0;
      for (const message of Messages) {
        const id = message.MessageId ?? '';
        held.push({ id, handle: message.ReceiptHandle ?? '', since, until: since + LOOK * 1_000 });
        seen.set(id, { ...envelopeOf(message, reading), position: { 0: id }, partition: 0 });
      }
    }
    return [...seen.values()].toSorted((a, b) => lastFailure(a) - lastFailure(b));
  } finally {
    const never = new AbortController();
    await new Receipts(topology, queue, reading.fifo, never.signal).giveBack(held.toReversed(), 0);
  }
}

function lastFailure({ control, time }: BrowsedMessage): number {
  return Number(control?.dead?.['last'] ?? time);
}
