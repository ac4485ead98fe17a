import type { Delivery } from '@waybill/core/adapter';
import { type Entry, envelopeOf } from './entry.ts';

/** What settles an entry: the stream that it was read from, and its id. */
export interface EntryReceipt<Source> {
  readonly source: Source;
  readonly id: string;
}

/** Field by field: a spread followed by more fields makes a dictionary, which costs 15 µs a message. */
export function deliveryOf<Source extends { readonly origin: Delivery['origin'] }>(
  entry: Entry,
  source: Source,
  deliveryCount: number,
  leaseUntil: number | null,
): Delivery & { readonly receipt: EntryReceipt<Source> } {
  const id = entry[0].toString();
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
    receipt: { source, id },
    origin: source.origin,
    partition: 0,
    position: { '0': id },
    deliveryCount,
    storedAttempt: null,
    leaseUntil,
    fence: null,
    raw: entry,
  };
}
