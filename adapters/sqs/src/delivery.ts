import type { Message } from '@aws-sdk/client-sqs';
import type { Delivery } from '@waybill/core/adapter';
import { envelopeOf, type Reading } from './entry.ts';
import type { Receipt } from './receipts.ts';

/**
 * @param group Whose inbox the queue is, too: what carries its name was sent there. Null where there is no inbox.
 * @param uncounted Arrivals that are not to be counted.
 */
export function deliveryOf(
  message: Message,
  receipt: Receipt,
  group: string | null,
  uncounted: number,
  reading: Reading,
): Delivery {
  const envelope = envelopeOf(message, reading);
  const { MessageId: id, Attributes: attributes } = message;
  return {
    id: envelope.id,
    time: envelope.time,
    key: envelope.key,
    type: envelope.type,
    source: envelope.source,
    contentType: envelope.contentType,
    headers: envelope.headers,
    control: envelope.control,
    body: envelope.body,
    receipt,
    origin: group !== null && envelope.control?.group === group ? 'inbox' : 'topic',
    partition: 0,
    position: id === undefined ? null : { 0: id },
    deliveryCount: Math.max(1, Number(attributes?.ApproximateReceiveCount ?? 1) - uncounted),
    storedAttempt: null,
    leaseUntil: receipt.until,
    fence: null,
    raw: message,
  };
}
