import { type Duration, duration } from './duration.ts';
import { WaybillError } from './errors.ts';
import { quote } from './quote.ts';

/** How long to wait before the next attempt. Plain data, safe in JSON; all times in ms. */
export type BackoffPolicy =
  | {
      readonly kind: 'exponential';
      readonly initial: number;
      readonly factor: number;
      readonly max: number;
      readonly jitter: number;
    }
  | { readonly kind: 'fixed'; readonly delay: number; readonly jitter: number };

export interface ExponentialOptions {
  /** Before the second attempt. 1 ms or more; default 200 ms. */
  readonly initial?: Duration;
  /** Each delay over the one before. 1 to 100; default 2. */
  readonly factor?: number;
  /** No delay is longer, jitter included. At least `initial`; default 30 s. */
  readonly max?: Duration;
  /** Share by which a delay varies, up and down. 0 to 1; default 0.2. */
  readonly jitter?: number;
}

/** A policy as people write it: durations in words, and defaults left out. */
export type BackoffConfig =
  | ({ readonly kind: 'exponential' } & ExponentialOptions)
  | { readonly kind: 'fixed'; readonly delay: Duration; readonly jitter?: number };

/**
 * Delays that grow. Default: 200 ms, then twice as long each time, up to 30 s, ± 20 % (R2).
 *
 * @throws WaybillError `invalid`, naming the option, its value and what is allowed.
 */
export function exponential(options: ExponentialOptions = {}): BackoffPolicy {
  const initial = duration(options.initial ?? 200, 'backoff initial');
  const factor = between(options.factor ?? 2, 1, 100, 'backoff factor');
  const max = duration(options.max ?? 30_000, 'backoff max');
  const jitter = between(options.jitter ?? 0.2, 0, 1, 'backoff jitter');
  if (initial < 1) throw new WaybillError('invalid', `backoff initial is ${initial} ms; allowed: 1 ms or more`);
  if (max < initial) {
    throw new WaybillError('invalid', `backoff max is ${max} ms; allowed: at least initial, which is ${initial} ms`);
  }
  return Object.freeze({ kind: 'exponential', initial, factor, max, jitter });
}

/**
 * The same delay each time, 0 allowed, without jitter unless asked for (R2).
 *
 * @throws WaybillError `invalid`, naming the option, its value and what is allowed.
 */
export function fixed(delay: Duration, options: { readonly jitter?: number } = {}): BackoffPolicy {
  return Object.freeze({
    kind: 'fixed',
    delay: duration(delay, 'backoff delay'),
    jitter: between(options.jitter ?? 0, 0, 1, 'backoff jitter'),
  });
}

/**
 * The policy that this describes, such as one of a configuration, with the defaults of what it leaves out.
 *
 * @throws WaybillError `invalid`, naming the option, its value and what is allowed.
 */
export function policyOf({ kind, ...options }: BackoffConfig): BackoffPolicy {
  if (kind === 'fixed') return fixed((options as { readonly delay: Duration }).delay, options);
  if (kind === 'exponential') return exponential(options);
  throw new WaybillError('invalid', `backoff kind is ${quote(kind)}; allowed: exponential, fixed`);
}

/**
 * The delay after the attempt of that number (1 is the first) has failed: whole ms within `bounds`.
 *
 * @param random From 0, below 1; as `Math.random`.
 */
export function delayOf(policy: BackoffPolicy, attempt: number, random: () => number): number {
  const { lower, upper } = bounds(policy, attempt);
  return Math.round(lower + random() * (upper - lower));
}

/** The shortest and the longest delay after that attempt, in whole ms. */
export function bounds(policy: BackoffPolicy, attempt: number): { lower: number; upper: number } {
  const { jitter } = policy;
  const max = policy.kind === 'fixed' ? Infinity : policy.max;
  const nominal =
    policy.kind === 'fixed' ? policy.delay : Math.min(max, policy.initial * policy.factor ** (attempt - 1));
  // Jitter at the maximum goes down only, and is spread, or half of the delays would meet at the maximum.
  return { lower: Math.floor(nominal * (1 - jitter)), upper: Math.ceil(Math.min(max, nominal * (1 + jitter))) };
}

/** The longest that the delays between `attempts` handler runs can take together, in ms (for the check of D6). */
export function totalUpperBound(policy: BackoffPolicy, attempts: number): number {
  let total = 0;
  for (let attempt = 1; attempt < attempts; attempt++) total += bounds(policy, attempt).upper;
  return total;
}

function between(value: number, least: number, most: number, what: string): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new WaybillError('invalid', `${what} is ${quote(value)}; allowed: a number from ${least} to ${most}`);
}
