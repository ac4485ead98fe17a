import { brand } from './brand.ts';
import { type Duration, duration, formatDuration } from './duration.ts';

/*
 * What a handler may throw to decide what becomes of its message. Any other error means: try again as the subscription's
 * policy says.
 */

/**
 * Thrown by a handler: another attempt is useless, dead-letter the message now.
 *
 * @example
 * throw new DeadLetter('no such customer', { code: 'customer-unknown' });
 */
export class DeadLetter extends Error {
  /** Your own code, kept in the dead-letter record; null without. */
  readonly code: string | null;

  constructor(reason: string, options: { readonly code?: string; readonly cause?: unknown } = {}) {
    super(reason, options);
    this.code = options.code ?? null;
  }

  /** Like `instanceof`, but also true for errors made by another copy of this package. */
  static is(value: unknown): value is DeadLetter {
    return isDeadLetter(value);
  }
}

/**
 * Thrown by a handler: try again, not before this long from now. It counts as an attempt (R13).
 *
 * @example
 * throw new RetryAfter('30s');
 *
 * @throws WaybillError `invalid` for a delay that is no duration.
 */
export class RetryAfter extends Error {
  /** Milliseconds. */
  readonly delay: number;

  constructor(delay: Duration, options: { readonly reason?: string; readonly cause?: unknown } = {}) {
    const ms = duration(delay, 'RetryAfter');
    super(options.reason ?? `retry after ${formatDuration(ms)}`, options);
    this.delay = ms;
  }

  /** Like `instanceof`, but also true for errors made by another copy of this package. */
  static is(value: unknown): value is RetryAfter {
    return isRetryAfter(value);
  }
}

const isDeadLetter = brand(DeadLetter.prototype, 'DeadLetter');
const isRetryAfter = brand(RetryAfter.prototype, 'RetryAfter');
