import { Buffer, isUtf8 } from 'node:buffer';
import { decodeWire, encodeWire, type Envelope, type HeaderValue } from '@waybill/core/adapter';

/** A stream entry as ioredis gives it. */
export type Entry = readonly [id: Buffer, fields: readonly Buffer[]];

const bodies = ['body', 'payload', 'data'];
const BODY = Buffer.from('body');
const HEADERS = Buffer.from('headers');

const view = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * The fields of an entry: `body`, and `headers` as one JSON object, since a field each costs ioredis more than all the
 * rest. Values are texts; a value that is bytes is an array of one text, their base64.
 */
export function fieldsOf(message: Envelope): ['body', Buffer, 'headers', string] {
  let json = '';
  for (const [name, value] of encodeWire(message)) {
    const text = typeof value === 'string' ? JSON.stringify(value) : `["${view(value).toString('base64')}"]`;
    json += `${json === '' ? '{' : ','}${JSON.stringify(name)}:${text}`;
  }
  return ['body', view(message.body), 'headers', `${json}}`];
}

/**
 * The message in an entry, ours or another program's. The body is the first field called `body`, `payload` or `data`;
 * without one, the fields as a JSON object. Headers are what a JSON object in `headers` says, and the other fields.
 */
export function envelopeOf(id: string, fields: readonly Buffer[]): Envelope {
  const ours = fields.length === 4 && BODY.equals(fields[0] as Buffer) && HEADERS.equals(fields[2] as Buffer);
  const pairs = ours ? readHeaders((fields[3] as Buffer).toString()) : null;
  return pairs === null ? foreign(id, fields) : envelope(id, pairs, fields[1] as Buffer, null);
}

function foreign(id: string, fields: readonly Buffer[]): Envelope {
  const pairs: [string, HeaderValue][] = [];
  const others: [string, HeaderValue][] = [];
  let body: Buffer | null = null;
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] as Buffer).toString();
    const value = fields[at + 1] as Buffer;
    const found = name === 'headers' ? readHeaders(value.toString()) : null;
    if (body === null && bodies.includes(name)) body = value;
    else if (found !== null) pairs.push(...found);
    else others.push([name, isUtf8(value) ? value.toString() : value]);
  }
  if (body !== null) return envelope(id, pairs.concat(others), body, null);
  const all = Object.fromEntries(others.map(([name, value]) => [name, value.toString()]));
  return envelope(id, pairs, Buffer.from(JSON.stringify(all)), 'application/json');
}

function envelope(id: string, pairs: [string, HeaderValue][], body: Buffer, contentType: string | null): Envelope {
  const wire = decodeWire(pairs);
  return {
    id: wire.id ?? id,
    time: wire.time ?? timeOf(id),
    key: wire.key,
    type: wire.type,
    source: wire.source,
    contentType: wire.contentType ?? contentType,
    headers: wire.headers,
    control: wire.control,
    body,
  };
}

/** Null where it is no JSON object of ours: then it is another program's header of that name. */
function readHeaders(text: string): [string, HeaderValue][] | null {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found)) return null;
  const pairs = Object.entries(found) as [string, HeaderValue][];
  for (const pair of pairs) {
    const value: unknown = pair[1];
    if (typeof value !== 'string')
      pair[1] = Array.isArray(value) ? Buffer.from(String(value[0]), 'base64') : String(value);
  }
  return pairs;
}

/** The server's time in an entry's id. */
export function timeOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')));
}

/** By time, then by sequence, which may be beyond what a number holds. */
export function compareIds(a: string, b: string): number {
  const byTime = timeOf(a) - timeOf(b);
  if (byTime !== 0) return byTime;
  const [left, right] = [a.slice(a.indexOf('-') + 1), b.slice(b.indexOf('-') + 1)];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : Number(left > right);
}
