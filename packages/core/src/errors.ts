import { brand } from './brand.ts';
import { maskText, sanitise } from './sanitise.ts';

/** What went wrong, for programs. Codes are stable; one that is given up is never used again. */
export type ErrorCode =
  | 'unavailable'
  | 'throttled'
  | 'timeout'
  | 'disconnected'
  | 'not-found'
  | 'denied'
  | 'too-large'
  | 'invalid'
  | 'closed'
  | 'unsupported'
  | 'unclassified'
  | 'order'
  | 'retry-too-long'
  | 'expired';

export interface ErrorCodeInfo {
  readonly meaning: string;
  /** Whether core tries the same call again, with backoff, until that call's deadline. */
  readonly retriable: boolean;
  /** Whether core drops the connection and opens another. */
  readonly reconnect: boolean;
}

/** Every code, its meaning, and what core does about it. */
export const ERROR_CODES: { readonly [Code in ErrorCode]: ErrorCodeInfo } = Object.freeze({
  unavailable: info('the broker answers, but can not do this now', 'retriable'),
  throttled: info('the broker asks for less: a quota, a full queue, memory or disk running out', 'retriable'),
  timeout: info('no answer in time; it may have happened all the same', 'retriable'),
  disconnected: info('the connection is lost or could not be made', 'retriable', 'reconnect'),
  'not-found': info('the topic, group, queue or stream does not exist'),
  denied: info('wrong credentials, or no right to do this'),
  'too-large': info('more bytes, headers or messages than the broker takes'),
  invalid: info('a bad argument, option, URL, name or payload'),
  closed: info('used after close, or ended by it'),
  unsupported: info('this broker can not keep a guarantee that was asked for'),
  // One more try costs little; to give up on an error that nobody has classified could lose a message.
  unclassified: info('the client reported something that its adapter does not know', 'retriable'),
  order: info('not sent, because an earlier message of its key failed (P3)'),
  'retry-too-long': info('the wanted delay is longer than the retry policy or the lease allows (R13)'),
  expired: info('its time to live ended before it was handled (D10)'),
});

function info(meaning: string, ...does: ('retriable' | 'reconnect')[]): ErrorCodeInfo {
  return Object.freeze({ meaning, retriable: does.includes('retriable'), reconnect: does.includes('reconnect') });
}

/**
 * Every error that Waybill itself reports. `message` names the thing, the bad value and what is allowed; `cause` is a
 * copy with secrets masked.
 */
export class WaybillError extends Error {
  readonly code: ErrorCode;
  readonly #raw: unknown;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    const caused = options !== undefined && 'cause' in options;
    super(maskText(message), caused ? { cause: presentable(options.cause) } : undefined);
    this.code = code;
    this.#raw = options?.cause;
  }

  /** What the client really threw. It may hold passwords and payloads: neither log nor store it. */
  get raw(): unknown {
    return this.#raw;
  }

  /** Like `instanceof`, but also true for errors made by another copy of this package. */
  static is(value: unknown): value is WaybillError {
    return isWaybillError(value);
  }
}

/** Why a publish did not end confirmed. */
export class PublishError extends WaybillError {
  /** `rejected`: stored nowhere. `unknown`: may be stored; publish again under the same `id` if it must arrive. */
  readonly outcome: 'rejected' | 'unknown';
  /** The message's id. */
  readonly id: string;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly outcome: 'rejected' | 'unknown'; readonly id: string; readonly cause?: unknown },
  ) {
    super(code, message, options);
    this.outcome = options.outcome;
    this.id = options.id;
  }

  static override is(value: unknown): value is PublishError {
    return isPublishError(value);
  }
}

const isWaybillError = brand(WaybillError.prototype, 'WaybillError');
const isPublishError = brand(PublishError.prototype, 'PublishError');

/** Our own errors are masked already, and carry more than a copy would. */
function presentable(cause: unknown): Error {
  return WaybillError.is(cause) ? cause : sanitise(cause);
}
