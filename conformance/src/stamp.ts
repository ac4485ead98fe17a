import { createHash } from 'node:crypto';
import type { Headers } from '@waybill/core/adapter';
import type { Stamped } from './case-types.ts';

/** A short hash of a payload as its user sees it: bytes as bytes, text as text, the rest as JSON. */
export function hashPayload(payload: unknown): string {
  if (payload instanceof Uint8Array) return digest('b', payload);
  if (typeof payload === 'string') return digest('s', Buffer.from(payload));
  return digest('j', Buffer.from(JSON.stringify(payload) ?? 'undefined'));
}

/** Names and values, whatever their order; text and bytes of the same octets differ. */
export function hashHeaders(headers: Headers | undefined): string {
  const entries = Object.entries(headers ?? {}).map(([name, value]) =>
    typeof value === 'string' ? [name, 's', value] : [name, 'b', Buffer.from(value).toString('base64')],
  );
  if (entries.length === 0) return '';
  entries.sort(([a = ''], [b = '']) => (a < b ? -1 : a > b ? 1 : 0));
  return digest('h', Buffer.from(JSON.stringify(entries)));
}

function digest(kind: string, bytes: Uint8Array): string {
  return createHash('sha256').update(kind).update(bytes).digest('base64url').slice(0, 16);
}

/** About how large a payload is; exact for bytes and text. */
export function sizeOf(payload: unknown): number {
  if (payload instanceof Uint8Array) return payload.byteLength;
  return Buffer.byteLength(typeof payload === 'string' ? payload : (JSON.stringify(payload) ?? ''));
}

/** The payload as a stamp, when it is one. */
export function stampOf(payload: unknown): Stamped | null {
  if (typeof payload !== 'object' || payload === null) return null;
  const { run, case: id, seq } = payload as Partial<Stamped>;
  return typeof run === 'string' && typeof id === 'string' && typeof seq === 'number' ? (payload as Stamped) : null;
}
