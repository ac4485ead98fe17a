import { Buffer } from 'node:buffer';
import type { Control, Envelope, Headers, HeaderValue } from './contract.ts';

/** Names that begin with this are Waybill's own; users can't publish them. */
export const RESERVED_PREFIX = 'waybill-';

/** What a message carried: null where the wire said nothing, so that an adapter can use the broker's own field. */
export interface DecodedWire {
  readonly id: string | null;
  readonly time: number | null;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly contentType: string | null;
  readonly headers: Headers;
  readonly control: Control | null;
}

/** The latest time a header may name: what a JavaScript Date can hold. */
const MAX_TIME = 8_640_000_000_000_000;
const MAX_ATTEMPT = 1_000_000;

/**
 * Every header that a message carries on the wire, ours first, then the user's. Where the broker has a field of its
 * own (Kafka's key, AMQP's message id) the adapter may leave the header out by its name.
 */
export function encodeWire(message: Envelope): [name: string, value: HeaderValue][] {
  const pairs: [string, HeaderValue][] = [
    ['waybill-id', message.id],
    ['waybill-time', String(message.time)],
  ];
  if (message.key !== null) pairs.push(['waybill-key', message.key]);
  if (message.type !== null) pairs.push(['waybill-type', message.type]);
  if (message.source !== null) pairs.push(['waybill-source', message.source]);
  if (message.contentType !== null) pairs.push(['content-type', message.contentType]);
  const { control } = message;
  if (control !== null) {
    if (control.expires !== undefined) pairs.push(['waybill-expires', String(control.expires)]);
    if (control.notBefore !== undefined) pairs.push(['waybill-not-before', String(control.notBefore)]);
    if (control.attempt !== undefined) pairs.push(['waybill-attempt', String(control.attempt)]);
    if (control.group !== undefined) pairs.push(['waybill-group', control.group]);
    if (control.dead !== undefined)
      for (const [name, value] of Object.entries(control.dead)) pairs.push([`waybill-dead-${name}`, value]);
  }
  for (const name of Object.keys(message.headers)) pairs.push([name, message.headers[name] as HeaderValue]);
  return pairs;
}

const NO_HEADERS: Headers = Object.freeze(Object.create(null) as Headers);

/** Reads what `encodeWire` wrote, or what a stranger wrote: it never throws. Bytes under our own names are read as UTF-8. */
export function decodeWire(pairs: Iterable<readonly [string, HeaderValue]>): DecodedWire {
  let headers: Record<string, HeaderValue> | null = null; // most messages have none, and one costs half a microsecond
  let id: string | null = null;
  let time: number | null = null;
  let key: string | null = null;
  let type: string | null = null;
  let source: string | null = null;
  let contentType: string | null = null;
  let control: ReadControl | null = null;
  for (const pair of pairs) {
    const name = pair[0];
    const value = pair[1];
    switch (name) {
      case 'waybill-id':
        id = text(value);
        if (id === '') id = null;
        break;
      case 'waybill-time':
        time = whole(text(value), MAX_TIME);
        break;
      case 'waybill-key':
        key = text(value);
        break;
      case 'waybill-type':
        type = text(value);
        break;
      case 'waybill-source':
        source = text(value);
        break;
      case 'content-type':
        contentType = text(value);
        break;
      default:
        if (name.startsWith(RESERVED_PREFIX)) control = readControl(control, name, text(value));
        else (headers ??= Object.create(null) as Record<string, HeaderValue>)[name] = value;
    }
  }
  return { id, time, key, type, source, contentType, headers: headers ?? NO_HEADERS, control };
}

type ReadControl = { -readonly [K in keyof Control]: Control[K] };

/** Any other name under our prefix is a stranger's or a newer version's: dropped, never passed to the user. */
function readControl(known: ReadControl | null, name: string, said: string): ReadControl | null {
  const short = name.slice(RESERVED_PREFIX.length);
  const isDead = short.startsWith('dead-');
  if (!isDead && !['expires', 'not-before', 'attempt', 'group'].includes(short)) return known;
  const control = known ?? {};
  if (isDead) {
    control.dead ??= Object.create(null) as Record<string, string>;
    (control.dead as Record<string, string>)[short.slice('dead-'.length)] = said;
  } else if (short === 'group') control.group = said;
  else {
    const number = whole(said, short === 'attempt' ? MAX_ATTEMPT : MAX_TIME);
    if (number === null || (short === 'attempt' && number < 1)) control.malformed = name;
    else control[short === 'not-before' ? 'notBefore' : (short as 'expires' | 'attempt')] = number;
  }
  return control;
}

function text(value: HeaderValue): string {
  return typeof value === 'string' ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
}

function whole(said: string, max: number): number | null {
  if (!/^\d{1,16}$/.test(said)) return null;
  const number = Number(said);
  return number <= max ? number : null;
}

/** The bytes that headers take, names and values together. */
export function headerBytes(headers: Headers): number {
  let bytes = 0;
  for (const name of Object.keys(headers)) {
    const value = headers[name] as HeaderValue;
    bytes += Buffer.byteLength(name) + (typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength);
  }
  return bytes;
}
