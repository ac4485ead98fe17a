import { delayOf } from './backoff.ts';
import { WaybillError } from './errors.ts';
import { DeadLetter, RetryAfter } from './handler-errors.ts';
import { DEFAULTS } from './options.ts';
import type { Plan } from './plan.ts';
import type { Supports } from './supports.ts';

/** Why a message was given up: kept in its dead-letter record as `waybill-dead-code`. */
export type DeadCode =
  | 'exhausted'
  | 'dead-letter'
  | 'non-retryable'
  | 'poison'
  | 'expired'
  | 'retry-too-long'
  | 'max-deliveries';

export type Decision =
  /** Wait with the delivery unsettled. */
  | { readonly kind: 'in-place'; readonly delay: number }
  /** A copy comes later. */
  | { readonly kind: 'requeue'; readonly delay: number }
  | { readonly kind: 'give-up' /** A `DeadCode`, or the handler's own. */; readonly code: string };

/**
 * What becomes of a delivery whose handler failed (R1, R2, R13). Pure.
 *
 * @param attempt The number of the run that failed, 1 for the first.
 * @param leaseLeft The longest it may still be held, in ms; null without a limit.
 */
export function decide(
  error: unknown,
  attempt: number,
  plan: Plan,
  supports: Supports,
  leaseLeft: number | null,
  random: () => number,
): Decision {
  if (DeadLetter.is(error)) return { kind: 'give-up', code: error.code ?? 'dead-letter' };
  if (!RetryAfter.is(error) && plan.nonRetryable !== null && isNonRetryable(plan.nonRetryable, error))
    return { kind: 'give-up', code: 'non-retryable' };
  if (attempt >= plan.attempts) return { kind: 'give-up', code: 'exhausted' };
  const asked = RetryAfter.is(error);
  const delay = asked ? error.delay : delayOf(plan.backoff, attempt, random);
  const held = leaseLeft === null || delay <= leaseLeft;
  if (plan.ordered || plan.retryMode === 'in-place')
    return held ? { kind: 'in-place', delay } : { kind: 'give-up', code: 'retry-too-long' };
  const canRequeue = supports.requeue.by !== 'refused';
  const wantsRequeue = plan.retryMode === 'requeue' || delay > DEFAULTS.requeueAfter || !held;
  if (wantsRequeue && canRequeue) return { kind: 'requeue', delay };
  return held ? { kind: 'in-place', delay } : { kind: 'give-up', code: 'retry-too-long' };
}

/** A predicate that throws says nothing; the error stays retryable, since a retry loses nothing. */
function isNonRetryable(test: (error: unknown) => boolean, error: unknown): boolean {
  try {
    return test(error);
  } catch {
    return false;
  }
}

/** Anything thrown by a handler, as events and dead-letter records show it. */
export function shown(error: unknown): WaybillError {
  if (WaybillError.is(error)) return error;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : `handler threw ${describe(error)}`;
  return new WaybillError('unclassified', message, { cause: error });
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 200)}'`;
  return value === null ? 'null' : typeof value;
}
