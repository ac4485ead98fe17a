import { Buffer, isUtf8 } from 'node:buffer';
import { decodeWire, encodeWire, type Envelope, type HeaderValue } from '@waybill/core/adapter';
import type { FetchedRecord, OutgoingRecord } from './client.ts';

/** A message's time further than this from now is no timestamp of Kafka's: it would be refused, or deleted at once. */
const DRIFT = 3_600_000;
/** Names the headers whose values are bytes: Kafka itself does not tell them from text. */
const BINARY = 'waybill-binary';
/** Begins the text that stands for a foreign key that is no text. No UTF-8 key is mistaken for one: such a key is encoded, too. */
const BYTES = 'base64\u0000';

/** Without a copy. */
function view(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The record of a message: key and value as they are, id and the rest in headers. The record's timestamp is the
 * message's time, which is what replays by time go by, unless Kafka would not keep it.
 */
export function recordOf(message: Envelope, now: number): OutgoingRecord {
  const headers = Object.create(null) as Record<string, string | Buffer>;
  const apart = Math.abs(message.time - now) > DRIFT;
  let binary: string[] | null = null;
  for (const [name, value] of encodeWire(message)) {
    if (name === 'waybill-key' || (name === 'waybill-time' && !apart)) continue;
    if (typeof value === 'string') headers[name] = value;
    else {
      headers[name] = view(value);
      (binary ??= []).push(name);
    }
  }
  if (binary !== null) headers[BINARY] = JSON.stringify(binary);
  return {
    key: message.key,
    value: view(message.body),
    timestamp: String(apart ? now : message.time),
    headers,
  };
}

/** The message in a record, ours or another program's. Nothing in it keeps the answer alive that it came in. */
export function envelopeOf(topic: string, partition: number, record: FetchedRecord): Envelope {
  const wire = decodeWire(headersOf(record));
  return {
    id: wire.id ?? `${topic}-${partition}-${record.offset}`,
    time: wire.time ?? Number(record.timestamp),
    key: keyOf(record.key),
    type: wire.type,
    source: wire.source,
    contentType: wire.contentType,
    headers: wire.headers,
    control: wire.control,
    body: record.value === null ? Buffer.alloc(0) : Buffer.from(record.value),
  };
}

function keyOf(key: Buffer | null): string | null {
  if (key === null) return null;
  const text = key.toString();
  if (isUtf8(key) && !text.startsWith(BYTES)) return text;
  return BYTES + key.toString('base64');
}

/** Of headers of one name the last counts. What a stranger sends is text where it is valid UTF-8. */
function headersOf({ headers }: FetchedRecord): (readonly [string, HeaderValue])[] {
  const pairs: (readonly [string, HeaderValue])[] = [];
  const names = Object.keys(headers);
  const binary = names.includes(BINARY) ? namesIn(lastOf(headers[BINARY])) : null;
  for (const name of names) {
    const value = lastOf(headers[name]);
    const bytes = binary?.has(name) === true || (!isOurs(name) && !isUtf8(value));
    pairs.push([name, bytes ? Buffer.from(value) : value.toString()]);
  }
  return pairs;
}

/** What Waybill writes there is text; what anybody else does is read as text. */
const isOurs = (name: string): boolean => name.startsWith('waybill-') || name === 'content-type';

/** kafkajs takes what every object inherits for an earlier header of that name, and puts it first. */
function lastOf(found: unknown): Buffer {
  const value: unknown = Array.isArray(found) ? found.at(-1) : found;
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0);
}

function namesIn(list: Buffer): Set<unknown> {
  try {
    const names: unknown = JSON.parse(list.toString());
    return new Set(Array.isArray(names) ? names : []);
  } catch {
    return new Set();
  }
}
