import type { Envelope } from './contract.ts';

/** What a message carries, without how it came or where it goes: every field as it is (R5). */
export function envelopeOf(message: Envelope): Envelope {
  const { id, time, key, type, source, contentType, headers, control, body } = message;
  return { id, time, key, type, source, contentType, headers, control, body };
}
