import { type ErrorCode, isNetworkError, WaybillError } from '@waybill/core/adapter';

/** AMQP reply codes: of a closed channel or connection, or of a returned message. */
const replies: Readonly<Record<number, ErrorCode>> = {
  311: 'too-large',
  312: 'not-found',
  320: 'disconnected', // closed by an operator, or the node goes down
  402: 'invalid',
  403: 'denied',
  404: 'not-found',
  405: 'unavailable', // someone else holds the queue for himself
  406: 'invalid',
  501: 'disconnected',
  502: 'invalid',
  503: 'invalid',
  504: 'disconnected',
  505: 'disconnected',
  506: 'throttled',
  530: 'denied',
  540: 'unsupported',
};

/** In any place of a message; the first that matches counts. */
const words: readonly (readonly [RegExp, ErrorCode])[] = [
  [/message size \d+ .*larger than/, 'too-large'],
  [/Encoded field table/, 'too-large'],
  [/delivery acknowledgement on channel \d+ timed out/, 'unavailable'],
  [/unknown delivery tag/, 'unavailable'],
  [/^message nacked/, 'throttled'],
  [/ACCESS[-_]REFUSED|SASL mechanism \S+ is not provided/, 'denied'],
];
const lost =
  /Connection clos|connect ETIMEDOUT|Socket closed abruptly|Heartbeat timeout|Unexpected close|Invalid frame|disconnected before secure TLS|socket hang up|Expected Connection/i;

/** The code of anything that this adapter throws. */
export function classify(error: unknown): ErrorCode {
  if (WaybillError.is(error)) return error.code;
  if (!(error instanceof Error)) return 'unclassified';
  const word = words.find(([pattern]) => pattern.test(error.message))?.[1];
  if (word !== undefined) return word;
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'timeout'; // whose code is a number, too
  const { code } = error as { code?: unknown };
  if (typeof code === 'number') return replies[code] ?? 'unclassified';
  if (isNetworkError(error) || lost.test(error.message) || /\b(?:certificate|SSL|TLS)\b/i.test(error.message))
    return 'disconnected';
  // The channel is gone and its connection is not, as far as is known: another one can be opened.
  return /^Channel (?:closed|closing|ended)/.test(error.message) ? 'unavailable' : 'unclassified';
}
