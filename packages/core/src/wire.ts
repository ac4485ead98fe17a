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

/** Reads what `encodeWire` wrote, or what a stranger wrote: it never throws. Bytes under our own names are read as UTF-8. */
export function decodeWire(pairs: Iterable<readonly [string, HeaderValue]>): DecodedWire {
  const headers: Record<string, HeaderValue> = Object.create(null) as Record<string, HeaderValue>;
  const ours = { id: null, time: null, key: null, type: null, source: null, contentType: null } as {
    -readonly [K in 'id' | 'key' | 'type' | 'source' | 'contentType']: string | null;
  } & { time: number | null };
  const control: { -readonly [K in keyof Control]: Control[K] } = {};
  let dead: Record<string, string> | undefined;
  let controlled = false;
  for (const [name, value] of pairs) {
    if (name === 'content-type') {
      ours.contentType = text(value);
      continue;
    }
    if (!name.startsWith(RESERVED_PREFIX)) {
      headers[name] = value;
      continue;
    }
    const short = name.slice(RESERVED_PREFIX.length);
    const said = text(value);
    switch (short) {
      case 'id':
        ours.id = said === '' ? null : said;
        break;
      case 'time':
        ours.time = whole(said, MAX_TIME);
        break;
      case 'key':
      case 'type':
      case 'source':
        ours[short] = said;
        break;
      case 'expires':
      case 'not-before':
      case 'attempt': {
        const number = whole(said, short === 'attempt' ? MAX_ATTEMPT : MAX_TIME);
        controlled = true;
        if (number === null || (short === 'attempt' && number < 1)) control.malformed = name;
        else control[short === 'not-before' ? 'notBefore' : short] = number;
        break;
      }
      case 'group':
        control.group = said;
        controlled = true;
        break;
      default:
        if (short.startsWith('dead-')) {
          dead ??= Object.create(null) as Record<string, string>;
          dead[short.slice('dead-'.length)] = said;
          controlled = true;
        }
      // Any other name under our prefix is a stranger's or a newer version's: dropped, never passed to the user.
    }
  }
  if (dead !== undefined) control.dead = dead;
  return { ...ours, headers, control: controlled ? control : null };
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
