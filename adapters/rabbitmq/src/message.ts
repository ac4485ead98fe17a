import { Buffer } from 'node:buffer';
import { createHash, randomUUID } from 'node:crypto';
import { decodeWire, encodeWire, type Envelope, type HeaderValue, type OutgoingMessage } from '@waybill/core/adapter';
import type { Message, Options } from 'amqplib';

/** Headers that a table can't hold as such: an array of names and values. */
const PACKED = 'waybill-packed';
/** An AMQP short string. */
const SHORT = 255;
/** A slice of the socket's buffer keeps all of it, so smaller bodies are copied. */
const COPIED = 16_384;

/** What the server makes something of, or amqplib can't read back. */
const special = /^(?:CC|BCC|__proto__|x-death|x-(?:first|last)-death-.*|x-delivery-count|x-acquired-count|x-opt-.*)$/;
/** What the server adds. */
const added = /^x-(?:death$|(?:first|last)-death-|delivery-count$|acquired-count$|opt-)/;

const fits = (short: string): boolean => short.length <= SHORT / 3 || Buffer.byteLength(short) <= SHORT;

export const view = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

type Table = Record<string, string | Buffer | (string | Buffer)[]>;
type Fields = { -readonly [Name in keyof Options.Publish]: Options.Publish[Name] } & { headers?: Table };

/** The properties of a message: AMQP's own where they can hold it, headers for the rest. */
export function propertiesOf(message: OutgoingMessage): Fields {
  const timed = timeIn(message.id) === message.time;
  let headers: Table | null = null;
  const fields: Fields = {
    mandatory: true,
    persistent: true,
    messageId: message.id,
    timestamp: Math.floor(message.time / 1_000),
  };
  if (message.sendId !== message.id && fits(message.sendId)) fields.correlationId = message.sendId; // a copy's
  let packed: (string | Buffer)[] | null = null;
  for (const [name, value] of encodeWire(message)) {
    if (timed && name === 'waybill-time') continue;
    const bytes = typeof value === 'string' ? value : view(value);
    if (typeof bytes === 'string' && fits(bytes)) {
      if (name === 'waybill-id') continue;
      if (name === 'content-type') {
        fields.contentType = bytes;
        continue;
      }
      if (name === 'waybill-type') {
        fields.type = bytes;
        continue;
      }
      if (name === 'waybill-source') {
        fields.appId = bytes;
        continue;
      }
    }
    if (special.test(name) || !fits(name)) (packed ??= []).push(name, bytes);
    else (headers ??= {})[name] = bytes;
  }
  if (packed !== null) (headers ??= {})[PACKED] = packed;
  if (headers === null) return fields; // a table costs the client more than all the rest
  // The whole id is a header then; the property holds one that is as much its own.
  if ('waybill-id' in headers) fields.messageId = createHash('sha256').update(message.id).digest('hex');
  fields.headers = headers;
  return fields;
}

/** The message that came, ours or another program's. Its body is no slice of a larger buffer. */
export function envelopeOf({ content, properties }: Message): Envelope & { readonly body: Buffer } {
  const pairs: [string, HeaderValue][] = [];
  const headers = (properties.headers ?? {}) as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (name === PACKED && Array.isArray(value)) unpack(value, pairs);
    else if (!added.test(name)) pairs.push([name, headerValue(value)]);
  }
  const wire = decodeWire(pairs);
  const { messageId, timestamp, type, appId, contentType } = properties as unknown as Readonly<Record<string, unknown>>;
  // Without one there is nothing that would tell a redelivery from another message.
  const id = wire.id ?? text(messageId) ?? randomUUID();
  return {
    id,
    time: wire.time ?? timeOf(timestamp, id) ?? Date.now(),
    key: wire.key,
    type: wire.type ?? text(type, true),
    source: wire.source ?? text(appId, true),
    contentType: wire.contentType ?? text(contentType),
    headers: wire.headers,
    control: wire.control,
    body: content.byteLength < COPIED ? Buffer.from(content) : content,
  };
}

/** What it was published under; a fresh message's is its id. */
export function sendIdOf({ properties }: Message, id: string): string {
  return text(properties.correlationId) ?? id;
}

/** How often the server has taken it back into its queue. */
export function returnsOf({ properties }: Message): number {
  const count: unknown = properties.headers?.['x-delivery-count'];
  return typeof count === 'number' ? count : 0;
}

function unpack(packed: readonly unknown[], pairs: [string, HeaderValue][]): void {
  for (let at = 0; at + 1 < packed.length; at += 2) pairs.push([String(packed[at]), headerValue(packed[at + 1])]);
}

/** AMQP has more types than Waybill: numbers and flags as text, the rest as JSON. */
function headerValue(value: unknown): HeaderValue {
  if (typeof value === 'string') return value;
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : JSON.stringify(value);
}

function text(value: unknown, empty = false): string | null {
  return typeof value === 'string' && (empty || value !== '') ? value : null;
}

/** Seconds by the standard, but many programs write milliseconds. Of the same second, the id's time has milliseconds. */
function timeOf(timestamp: unknown, id: string): number | null {
  if (typeof timestamp !== 'number' || !Number.isSafeInteger(timestamp) || timestamp < 0) return null;
  const made = timeIn(id);
  if (Math.floor(made / 1_000) === timestamp) return made;
  const ms = timestamp < 100_000_000_000 ? timestamp * 1_000 : timestamp;
  return ms <= 8_640_000_000_000_000 ? ms : null;
}

/** The milliseconds in a UUID of version 7, as Waybill makes them; NaN for any other id. */
function timeIn(id: string): number {
  if (id.length !== 36 || id[8] !== '-' || id[13] !== '-' || id[14] !== '7') return Number.NaN;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
