import type { Delivery } from '@waybill/core/adapter';
import type { Message } from 'amqplib';
import { targetOf } from './delays.ts';
import { envelopeOf, returnsOf, sendIdOf } from './message.ts';
import type { GroupQueue } from './names.ts';
import type { Outlived } from './outlived.ts';

/** The queue that deliveries come from. */
export interface Source extends GroupQueue {
  /** The group's inbox: what was published there is a copy, not a fresh message. */
  readonly inbox: string | null;
  /** Whether the server counts deliveries. */
  readonly counted: boolean;
  /** From this count on a message may be what ended the consumers before (R10). */
  readonly suspect: number;
}

export type DeliveryOf<Receipt> = Delivery & { readonly receipt: Receipt; readonly raw: Message };

/** How often it has come, this time included, without the arrivals that this process has outlived. */
function deliveryCountOf(message: Message, queue: string, id: string, outlived: Outlived): number {
  const returns = returnsOf(message);
  return returns === 0 ? 1 : Math.max(1, returns + 1 - outlived.of(queue, id));
}

/** Field by field: a spread followed by more fields makes a dictionary, which costs 15 µs a message. */
export function deliveryOf<Receipt>(
  message: Message,
  source: Source,
  receipt: Receipt,
  outlived: Outlived,
): DeliveryOf<Receipt> {
  const { queue, inbox, partition, counted } = source;
  const envelope = envelopeOf(message);
  message.content = envelope.body; // else it would keep the socket's buffer
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
    origin: (targetOf(message) ?? message.fields.exchange) === inbox ? 'inbox' : 'topic',
    partition,
    position: null,
    sendId: sendIdOf(message, envelope.id),
    deliveryCount: counted ? deliveryCountOf(message, queue, envelope.id, outlived) : null,
    storedAttempt: null,
    leaseUntil: null,
    fence: null,
    raw: message,
  };
}
