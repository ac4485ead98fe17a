import { type BackoffPolicy, exponential, policyOf } from './backoff.ts';
import type { SubscriptionOverrides } from './config-types.ts';
import type { StartPosition } from './contract.ts';
import { type Duration, duration } from './duration.ts';
import { WaybillError } from './errors.ts';
import { compileFilter, type Filter, type FilterTest, meaningOfFilter } from './filter.ts';
import type { IdempotencyStore } from './idempotent.ts';
import { checkName } from './names.ts';
import { type BatchOptions, DEFAULTS, type SubscribeOptions } from './options.ts';
import { quote } from './quote.ts';
import { startPosition } from './start.ts';
import type { Supports } from './supports.ts';

/** A subscription's effective options: every default filled in, every bound checked. Times in ms. Shown by `doctor`. */
export interface Plan {
  readonly topic: string;
  readonly group: string;
  readonly ordered: boolean;
  readonly concurrency: number;
  readonly prefetch: number;
  /** Whether the user chose it: a chosen prefetch that the broker can't honour is refused, a computed one is not (F1). */
  readonly prefetchChosen: boolean;
  readonly prefetchBytes: number;
  readonly attempts: number;
  readonly backoff: BackoffPolicy;
  /** Null: by delay, as `RetryOptions.mode` says. */
  readonly retryMode: 'in-place' | 'requeue' | null;
  readonly nonRetryable: ((error: unknown) => boolean) | null;
  readonly deadLetter: boolean | 'key';
  readonly onExhausted: 'drop' | 'stop';
  readonly start: StartPosition;
  readonly filter: Filter | null;
  readonly matches: FilterTest | null;
  readonly atMostOnce: boolean;
  readonly timeout: number | null;
  readonly lease: number;
  readonly onExpired: 'dead-letter' | 'drop';
  readonly maxDeliveries: number;
  readonly idempotent: {
    readonly store: IdempotencyStore;
    readonly window: number;
    readonly onStoreError: 'wait' | 'fail';
  } | null;
  readonly transactional: boolean;
  readonly drain: number;
  readonly batch: { readonly size: number; readonly linger: number } | null;
}

const KNOWN =
  'group concurrency prefetch prefetchBytes retry deadLetter onExhausted start filter delivery timeout lease onExpired maxDeliveries idempotent transactional drain batch'.split(
    ' ',
  );

/**
 * What the code says, overridden by what the configuration says of this subscription, with defaults.
 *
 * @throws WaybillError `invalid`, one error that lists every bad option with its value and what is allowed.
 */
export function resolvePlan(
  topic: { readonly name: string; readonly ordered: boolean },
  code: SubscribeOptions & { readonly batch?: BatchOptions },
  config: SubscriptionOverrides,
  supports: Supports,
  partitions: number,
): Plan {
  const problems: string[] = [];
  const { address: _, ...overrides } = config; // it names the group at the broker
  const options = { ...code, ...overrides, retry: { ...code.retry, ...config.retry } };
  const { batch, idempotent, retry } = options;
  const known = (path: string, given: object | undefined, names: readonly string[]): void => {
    for (const name of Object.keys(given ?? {}))
      if (!names.includes(name)) problems.push(`${path}${name} is not an option; allowed: ${names.join(', ')}`);
  };
  known('', options, KNOWN);
  known('retry.', retry, ['attempts', 'backoff', 'mode', 'nonRetryable']);
  known('batch.', batch, ['size', 'linger']);
  known('idempotent.', idempotent, ['store', 'window', 'onStoreError']);
  attempt(problems, () => checkName('group', code.group));

  const whole = (name: string, value: number | undefined, fallback: number, low: number, high: number): number => {
    if (value === undefined) return fallback;
    if (Number.isInteger(value) && value >= low && value <= high) return value;
    problems.push(`${name} is ${quote(value)}; allowed: a whole number from ${low} to ${high}`);
    return fallback;
  };
  const oneOf = <T extends string>(name: string, value: T | undefined, fallback: T, allowed: readonly T[]): T => {
    if (value === undefined || allowed.includes(value)) return value ?? fallback;
    problems.push(`${name} is ${quote(value)}; allowed: ${allowed.join(', ')}`);
    return fallback;
  };
  const ms = (name: string, value: Duration | undefined, fallback: number, low: number, high: number): number => {
    if (value === undefined) return fallback;
    const length = attempt(problems, () => duration(value, name));
    if (length === undefined || (length >= low && length <= high)) return length ?? fallback;
    problems.push(`${name} is ${length} ms; allowed: ${low} to ${high} ms`);
    return fallback;
  };

  const size = batch === undefined ? 0 : whole('batch.size', batch.size ?? Number.NaN, 1, 1, 10_000);
  const concurrency = whole(
    'concurrency',
    options.concurrency,
    batch === undefined ? DEFAULTS.concurrency : 1,
    1,
    100_000,
  );
  const perPartition = supports.receive.credit === 'partition' ? 8 * partitions : 0;
  const computed = Math.max(2 * concurrency * Math.max(1, size), supports.receive.batch, perPartition);
  const attempts = whole('retry.attempts', retry.attempts, DEFAULTS.attempts, 1, 1_000);
  const deadLetter = options.deadLetter ?? true;
  if (deadLetter === false && options.onExhausted === undefined)
    problems.push(`deadLetter: false needs onExhausted: 'drop' (settle and count) or 'stop' (keep and stop)`);
  if (deadLetter !== false && options.onExhausted !== undefined)
    problems.push(`onExhausted: ${quote(options.onExhausted)} needs deadLetter: false`);
  if (typeof deadLetter !== 'boolean' && deadLetter !== 'key')
    problems.push(`deadLetter is ${quote(deadLetter)}; allowed: true, false, 'key'`);
  const retryMode = retry.mode ?? null;
  if (retryMode !== null) oneOf('retry.mode', retryMode, 'in-place', ['in-place', 'requeue']);
  if (topic.ordered && retryMode === 'requeue')
    problems.push(`retry.mode 'requeue' would break the order that topic '${topic.name}' needs; use 'in-place'`);
  if (batch !== undefined && options.delivery === 'at-most-once')
    problems.push(`batch and delivery 'at-most-once' don't go together`);
  if (batch !== undefined && idempotent !== undefined) problems.push(`batch and idempotent don't go together`);
  const { transactional = false } = options;
  if (typeof transactional !== 'boolean')
    problems.push(`transactional is ${quote(transactional)}; allowed: true, false`);
  else if (transactional) problems.push(...againstTransaction(options));
  const filter = options.filter ?? null;
  const matches = filter === null ? null : (attempt(problems, () => compileFilter(filter)) ?? null);
  if (idempotent !== undefined && !isStore(idempotent.store))
    problems.push(`idempotent.store is ${quote(idempotent.store)}; allowed: an object with claim, done and release`);
  const { nonRetryable = null } = retry;
  if (nonRetryable !== null && typeof nonRetryable !== 'function')
    problems.push(`retry.nonRetryable is ${quote(nonRetryable)}; allowed: a function`);
  const plan: Plan = {
    topic: topic.name,
    group: code.group,
    ordered: topic.ordered,
    concurrency,
    prefetch: whole('prefetch', options.prefetch, computed, 1, 1_000_000),
    prefetchChosen: options.prefetch !== undefined,
    prefetchBytes: whole('prefetchBytes', options.prefetchBytes, DEFAULTS.prefetchBytes, 1_024, 2 ** 40),
    attempts,
    backoff: attempt(problems, () => policyOf(retry.backoff ?? { kind: 'exponential' })) ?? exponential(),
    retryMode,
    nonRetryable,
    deadLetter,
    onExhausted: oneOf('onExhausted', options.onExhausted, 'drop', ['drop', 'stop']),
    start: attempt(problems, () => startPosition(options.start ?? 'held', 'start')) ?? 'held',
    filter,
    matches,
    atMostOnce:
      oneOf('delivery', options.delivery, 'at-least-once', ['at-least-once', 'at-most-once']) === 'at-most-once',
    timeout: options.timeout === undefined ? null : ms('timeout', options.timeout, 0, 1, 2 ** 31),
    lease: ms(
      'lease',
      options.lease,
      Math.min(supports.lease.default, supports.lease.max ?? Infinity),
      Math.max(100, supports.lease.granularity),
      supports.lease.max ?? 2 ** 31,
    ),
    onExpired: oneOf('onExpired', options.onExpired, 'dead-letter', ['dead-letter', 'drop']),
    maxDeliveries: whole('maxDeliveries', options.maxDeliveries, Math.max(3 * attempts, 10), 1, 100_000),
    idempotent:
      idempotent === undefined
        ? null
        : {
            store: idempotent.store,
            window: ms('idempotent.window', idempotent.window, DEFAULTS.idempotentWindow, 1, 2 ** 40),
            onStoreError: oneOf('idempotent.onStoreError', idempotent.onStoreError, 'wait', ['wait', 'fail']),
          },
    transactional,
    drain: ms('drain', options.drain, DEFAULTS.drain, 0, 2 ** 31),
    batch: batch === undefined ? null : { size, linger: ms('batch.linger', batch.linger, 0, 0, 600_000) },
  };
  if (plan.batch !== null && plan.prefetch < plan.batch.size)
    problems.push(`prefetch is ${plan.prefetch}, less than batch.size ${plan.batch.size}, so no batch could fill`);
  if (problems.length > 0)
    throw new WaybillError('invalid', `subscription '${topic.name}/${code.group}': ${problems.join('; ')}`);
  return Object.freeze(plan);
}

/** Options that change what a group means: two subscriptions of one group in one process must agree on them. */
export function meaningOf(plan: Plan): string {
  const {
    filter,
    attempts,
    backoff,
    retryMode,
    deadLetter,
    onExhausted,
    atMostOnce,
    onExpired,
    maxDeliveries,
    transactional,
  } = plan;
  return JSON.stringify({
    filter: meaningOfFilter(filter),
    attempts,
    backoff,
    retryMode,
    deadLetter,
    onExhausted,
    atMostOnce,
    onExpired,
    maxDeliveries,
    transactional,
  });
}

/** Options that would have a message settled, or its results out, by another way than the transaction. */
function againstTransaction({
  batch,
  idempotent,
  delivery,
}: Partial<SubscribeOptions> & { readonly batch?: BatchOptions }): string[] {
  const problems: string[] = [];
  if (batch !== undefined) problems.push(`batch and transactional don't go together`);
  if (idempotent !== undefined)
    problems.push(
      `idempotent and transactional don't go together: an id marked as done before its transaction has failed would lose its results`,
    );
  if (delivery === 'at-most-once')
    problems.push(`delivery 'at-most-once' and transactional don't go together: it settles before there are results`);
  return problems;
}

function isStore(store: unknown): boolean {
  const { claim, done, release } = (store ?? {}) as Partial<IdempotencyStore>;
  return [claim, done, release].every((method) => typeof method === 'function');
}

function attempt<T>(problems: string[], what: () => T): T | undefined {
  try {
    return what();
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
