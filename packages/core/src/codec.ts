import { Buffer } from 'node:buffer';
import { WaybillError } from './errors.ts';

export type CodecName = 'json' | 'bytes' | 'text';

/** Turns a payload into bytes and back. `decode` throws for bytes that are not its own. */
export interface Codec {
  readonly name: string;
  /** Written as `content-type`; a message that carries it is decoded by this codec. */
  readonly contentType: string;
  encode(payload: unknown): Uint8Array;
  decode(body: Uint8Array): unknown;
}

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A view without copy, because Buffer's `toString` is several times faster than TextDecoder. */
const view = (body: Uint8Array): Buffer =>
  Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);

const json: Codec = {
  name: 'json',
  contentType: 'application/json',
  encode(payload) {
    const text = JSON.stringify(payload);
    if (text === undefined) throw new WaybillError('invalid', `payload is ${typeof payload}, which JSON can't hold`);
    return Buffer.from(text);
  },
  decode: (body) => JSON.parse(view(body).toString()),
};

const bytes: Codec = {
  name: 'bytes',
  contentType: 'application/octet-stream',
  encode(payload) {
    if (payload instanceof Uint8Array) return payload;
    throw new WaybillError('invalid', `payload is ${typeof payload}; the bytes codec takes a Uint8Array`);
  },
  decode: (body) => body,
};

const text: Codec = {
  name: 'text',
  contentType: 'text/plain; charset=utf-8',
  encode(payload) {
    if (typeof payload === 'string') return Buffer.from(payload);
    throw new WaybillError('invalid', `payload is ${typeof payload}; the text codec takes a string`);
  },
  decode: (body) => strictText.decode(body),
};

const CODECS: Readonly<Record<CodecName, Codec>> = { json, bytes, text };

/** A built-in codec by name. @throws WaybillError `invalid` */
export function codecNamed(name: string, topic: string): Codec {
  if (Object.hasOwn(CODECS, name)) return CODECS[name as CodecName];
  throw new WaybillError(
    'invalid',
    `topic '${topic}': codec '${name}' is unknown; allowed: json, bytes, text, or an object`,
  );
}
