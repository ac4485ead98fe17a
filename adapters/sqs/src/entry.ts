import { Buffer, isUtf8 } from 'node:buffer';
import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';
import { decodeWire, encodeWire, type Envelope, type HeaderValue } from '@waybill/core/adapter';
import type { Settings } from './options.ts';

/** The attribute that holds all of ours, and what of the user's can't be an attribute. */
const OURS = 'waybill';
/** How the body is written where it can't stand as it is: `base64`, or `empty`. */
const BODY = 'waybill-body';
/** SQS takes ten attributes; one is ours. */
const MOST_OWN = 9;

const illegal = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;
const legalName = /^(?!(?:aws|amazon)\.)(?!\.)(?!.*\.\.)(?!.*\.$)[\w.-]{1,256}$/i;

/** What a send takes of a message's content. */
export interface Content {
  readonly MessageBody: string;
  readonly MessageAttributes: Record<string, MessageAttributeValue>;
  /** As SQS counts: body, and names, types and values of attributes. */
  readonly bytes: number;
}

/**
 * A message as SQS takes it. The user's first nine headers that can be attributes are attributes, for programs that don't
 * use Waybill; the rest and all of ours is one JSON object. Values there are texts; a value that is bytes is an array of
 * one text, their base64.
 */
export function contentOf(message: Envelope): Content {
  const attributes: Record<string, MessageAttributeValue> = {};
  const body = bodyOf(message.body);
  let bytes = Buffer.byteLength(body.text);
  let own = 0;
  let json = body.how === null ? '' : `,"${BODY}":"${body.how}"`;
  for (const [name, value] of encodeWire(message)) {
    if (own < MOST_OWN && typeof value === 'string' && fits(name, value)) {
      attributes[name] = { DataType: 'String', StringValue: value };
      bytes += name.length + 6 + Buffer.byteLength(value);
      own++;
    } else {
      const text = typeof value === 'string' ? JSON.stringify(value) : `["${view(value).toString('base64')}"]`;
      json += `,${JSON.stringify(name)}:${text}`;
    }
  }
  const packed = `{${json.slice(1)}}`.replaceAll(/[\uFFFE\uFFFF]/g, (one) => `\\u${one.charCodeAt(0).toString(16)}`);
  attributes[OURS] = { DataType: 'String', StringValue: packed };
  bytes += OURS.length + 6 + Buffer.byteLength(packed);
  return { MessageBody: body.text, MessageAttributes: attributes, bytes };
}

/** Ours are packed in any case, so that they can't take the place of the user's. */
function fits(name: string, value: string): boolean {
  return (
    value !== '' &&
    name !== OURS &&
    name !== '__proto__' && // the SDK would take it for a prototype
    name !== 'content-type' &&
    !name.startsWith('waybill-') &&
    legalName.test(name) &&
    !illegal.test(value) &&
    value.isWellFormed()
  );
}

/** Legal text stands as it is, byte for byte. SQS takes no empty body and not every character. */
function bodyOf(body: Uint8Array): { readonly text: string; readonly how: 'base64' | 'empty' | null } {
  if (body.byteLength === 0) return { text: '-', how: 'empty' };
  const bytes = view(body);
  if (isUtf8(bytes)) {
    const text = bytes.toString();
    if (!illegal.test(text)) return { text, how: null };
  }
  return { text: bytes.toString('base64'), how: 'base64' };
}

export type Reading = Pick<Settings, 'fifo' | 'unwrapSns'>;

/** The message that SQS gave, ours or another program's. Its id, time and group stand in where ours say nothing. */
export function envelopeOf(message: Message, { fifo, unwrapSns }: Reading): Envelope {
  const pairs: [string, HeaderValue][] = [];
  let how: HeaderValue | null = null;
  const packed = message.MessageAttributes?.[OURS]?.StringValue;
  const ours = packed === undefined ? null : readJson(packed);
  for (const [name, value] of ours ?? []) {
    if (name === BODY) how = value;
    else pairs.push([name, value]);
  }
  for (const [name, value] of Object.entries(message.MessageAttributes ?? {}))
    if (name !== OURS || ours === null) pairs.push([name, valueOf(value)]);
  const text = message.Body ?? '';
  const notice = packed === undefined && unwrapSns ? noticeOf(text) : null;
  if (notice !== null) pairs.push(...notice.pairs);
  const wire = decodeWire(pairs);
  const { MessageGroupId: group, SentTimestamp: sent } = message.Attributes ?? {};
  return {
    id: wire.id ?? message.MessageId ?? '',
    time: wire.time ?? Number(sent ?? Date.now()),
    key: wire.key ?? (ours === null && fifo ? (group ?? null) : null),
    type: wire.type,
    source: wire.source,
    contentType: wire.contentType,
    headers: wire.headers,
    control: wire.control,
    body:
      how === 'empty'
        ? new Uint8Array(0)
        : how === 'base64'
          ? Buffer.from(text, 'base64')
          : Buffer.from(notice?.text ?? text),
  };
}

function valueOf({ StringValue, BinaryValue }: MessageAttributeValue): HeaderValue {
  return StringValue ?? BinaryValue ?? '';
}

/** Null where it is no JSON object of ours: then it is another program's attribute of that name. */
function readJson(text: string): [string, HeaderValue][] | null {
  const found = parsed(text);
  if (found === null) return null;
  return Object.entries(found).map(([name, value]) => [
    name,
    Array.isArray(value) ? Buffer.from(String(value[0]), 'base64') : String(value),
  ]);
}

/** What SNS wraps around a message of a subscription without raw delivery. */
function noticeOf(text: string): { readonly text: string; readonly pairs: [string, HeaderValue][] } | null {
  if (!text.startsWith('{') || !text.includes('"TopicArn"')) return null;
  const found = parsed(text);
  if (found?.['Type'] !== 'Notification' || typeof found['TopicArn'] !== 'string') return null;
  if (typeof found['Message'] !== 'string') return null;
  const attributes = (found['MessageAttributes'] ?? {}) as Record<string, { Type?: string; Value?: unknown }>;
  const pairs = Object.entries(attributes).map(([name, { Type, Value }]): [string, HeaderValue] => [
    name,
    Type?.startsWith('Binary') === true ? Buffer.from(String(Value), 'base64') : String(Value),
  ]);
  return { text: found['Message'], pairs };
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null && !Array.isArray(found)
      ? (found as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

const view = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
