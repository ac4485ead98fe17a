import type { Delivery } from '@waybill/core/adapter';
import { type Entry, envelopeOf } from './entry.ts';

/** What settles an entry: the stream that it was read from, and its id. */
export interface EntryReceipt<Source> {
  readonly source: Source;
  readonly id: string;
}

/** What a delivery says of the stream that it was read from. */
export interface Origin {
  readonly origin: Delivery['origin'];
  readonly partition: number;
}

/** Field by field: a spread followed by more fields makes a dictionary, which costs 15 µs a message. */
export function deliveryOf<Receipt extends EntryReceipt<Origin>>(
  entry: Entry,
  receipt: Receipt,
  deliveryCount: number,
  leaseUntil: number | null,
  fence: number | null = null,
): Delivery & { readonly receipt: Receipt } {
  const { id, source } = receipt;
  const envelope = envelopeOf(id, entry[1]);
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
    origin: source.origin,
    partition: source.partition,
    position: { [source.partition]: id },
    deliveryCount,
    storedAttempt: null,
    leaseUntil,
    fence,
    raw: entry,
  };
}
