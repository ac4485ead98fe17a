import { Buffer } from 'node:buffer';
import { encodeWire, type Envelope } from '@waybill/core/adapter';
import type { OutgoingRecord } from './client.ts';

/** A message's time further than this from now is no timestamp of Kafka's: it would be refused, or deleted at once. */
const DRIFT = 3_600_000;
/** Names the headers whose values are bytes: Kafka itself does not tell them from text. */
export const BINARY = 'waybill-binary';

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
