import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { type By, capability, type CapabilityPath, type Facts } from '@waybill/core/adapter';
import type { CaseContext } from './case-context.ts';
import type { ConformanceCase, Cost, Verdict } from './case.ts';
import { Context } from './context.ts';
import type { HistoryEvent } from './event.ts';
import { evidenceOf } from './evidence.ts';
import { TWINS } from './must-refuse.ts';
import type { RejectionWatch } from './rejection-watch.ts';
import type { CaseResult } from './result.ts';
import { CaseSignal, InfrastructureError, LateSignal } from './signals.ts';
import { slice, tail } from './slice.ts';
import { able, type Harness } from './target.ts';

/** What all cases of one run share. */
export interface RunShared {
  readonly harness: Harness;
  readonly seed: number;
  readonly run: string;
  /** Of the bounds under test: how slow this machine is. */
  readonly factor: number;
  /** Of waiting deadlines. */
  readonly patience: number;
  /** Of message counts and rounds. */
  readonly scale: number;
  readonly folder: string;
  readonly keep: boolean;
  readonly rejections: RejectionWatch;
  /** What connections said about the broker. */
  facts: Facts;
  readonly next: () => number;
  /** Whether the machine has more to do than it has cores. */
  readonly busy: () => boolean;
}

const timeouts: Readonly<Record<Cost, number>> = { quick: 30_000, slow: 90_000, fault: 180_000, long: 900_000 };
const most = { reruns: 2, closing: 40_000 };

/** Milliseconds that a case may take, scaled. */
function timeoutOf(one: ConformanceCase, harness: Harness, factor: number): number {
  const own = typeof one.timeout === 'function' ? one.timeout(harness.supports) : one.timeout;
  const usual = own ?? timeouts[one.cost];
  // What is known to fail here is only looked at, not waited for.
  return gapOf(one, harness) === undefined ? usual * factor * (harness.pace ?? 1) : usual;
}

function gapOf({ id }: ConformanceCase, { knownGaps }: Harness): string | undefined {
  return knownGaps?.[id];
}

interface Ended {
  readonly verdict: Verdict;
  readonly reason: string | null;
  readonly slice: string | null;
}

/**
 * Runs one case to its verdict. Tried again, twice at most and told in the result, are infrastructure failures, and
 * deadlines that pass beside a broker outside this process while the machine is busy; never what a checker has found.
 */
export async function runCase(
  one: ConformanceCase,
  shared: RunShared,
): Promise<{ result: CaseResult; history: readonly HistoryEvent[] }> {
  const { harness } = shared;
  const began = performance.now();
  const reruns: string[] = [];
  for (;;) {
    const attempt = await once(one, shared);
    const gap = gapOf(one, harness);
    const slow = harness.how !== 'embedded' && gap === undefined && shared.busy();
    const again = attempt.infrastructure ?? (slow ? attempt.late : null);
    if (again !== null && reruns.length < most.reruns) {
      reruns.push(again);
      continue;
    }
    const { t } = attempt;
    let { verdict, reason } = attempt.ended;
    const observations = [...(t?.observed.underClaims ?? [])];
    if (gap !== undefined && verdict === 'failed') {
      verdict = 'inconclusive';
      reason = `known gap of ${harness.name}: ${gap} (${reason ?? ''})`;
    } else if (gap !== undefined && verdict === 'passed') observations.push(`the known gap is gone: ${gap}`);
    const result: CaseResult = {
      id: one.id,
      title: one.title,
      guarantees: one.guarantees,
      cost: one.cost,
      support: attempt.support,
      verdict,
      reason,
      ms: Math.round(performance.now() - began),
      seed: shared.seed,
      evidence: t === null ? {} : evidenceOf(t.history, t.observed),
      observations,
      slice: attempt.ended.slice,
      history: null,
      reruns,
    };
    return { result, history: t?.history.events ?? [] };
  }
}

interface Attempt {
  readonly ended: Ended;
  readonly support: By;
  readonly t: Context | null;
  readonly infrastructure: string | null;
  /** The deadline that passed, where nothing else is wrong. */
  readonly late: string | null;
}

async function once(one: ConformanceCase, shared: RunShared): Promise<Attempt> {
  const { harness } = shared;
  const { support, refused } = supportOf(one, harness);
  const without = (verdict: Verdict, reason: string): Attempt => ({
    ended: { verdict, reason, slice: null },
    support,
    t: null,
    infrastructure: null,
    late: null,
  });
  const body = refused === null ? one.run : twinOf(one, refused);
  if (body === null)
    return without('refused', `${refused ?? ''} is refused; no option asks for it, so there is nothing to refuse`);
  if (refused === null) {
    const declined = one.declinedBy?.(harness.supports) ?? null;
    if (declined !== null) return { ...without('refused', declined), support: 'refused' };
    const lacks = (one.faults ?? []).filter((fault) => !able(harness, fault));
    if (lacks.length > 0) return without('not-run', `the harness of ${harness.name} can not: ${lacks.join(', ')}`);
    if (one.spy === true && harness.spy === undefined)
      return without('not-run', `the harness of ${harness.name} has no spy`);
  }
  const timeout = timeoutOf(one, harness, shared.factor * shared.scale);
  const over = new AbortController();
  const began = performance.now();
  const t = new Context({ ...shared, case: one, signal: over.signal });
  let thrown: unknown = null;
  const running = (async () => body(t))();
  running.catch(() => undefined); // it is judged below, or comes after the case has ended
  try {
    await Promise.race([running, deadline(timeout, over.signal)]);
  } catch (error) {
    thrown = error;
  }
  const last = thrown === null ? [] : ['The last events:', ...tail(t.history)];
  over.abort();
  const closing = await closed(t, shared.patience);
  // One turn more, so that a rejection that nobody handles is known to be one.
  await new Promise((resolve) => setImmediate(resolve));
  const ended = await verdictOf(one, t, {
    thrown,
    last,
    refused,
    closing,
    rejections: shared.rejections.since(began),
    healthy: async () => (await harness.healthy?.()) ?? true,
  });
  await harness.tidy?.(t.names).catch(() => undefined); // what is left now, `close` takes
  shared.facts = { ...shared.facts, ...t.opened.facts };
  t.recorder.stop();
  return {
    ended,
    support,
    t,
    infrastructure: thrown instanceof InfrastructureError ? thrown.message : null,
    late:
      thrown instanceof LateSignal && ended.verdict === 'failed' && ended.reason === thrown.message
        ? thrown.message
        : null,
  };
}

async function deadline(ms: number, signal: AbortSignal): Promise<never> {
  await sleep(ms, undefined, { signal });
  throw new LateSignal(`the case did not end within ${(ms / 1000).toFixed(0)} s`);
}

/** Null, or what went wrong when everything that the case had opened was closed. */
async function closed(t: Context, patience: number): Promise<string | null> {
  const stop = new AbortController();
  try {
    const late = sleep(most.closing * patience, 'late', { signal: stop.signal });
    const first = await Promise.race([t.opened.close().then(() => null), late]);
    return first === 'late' ? `what the case had opened did not close within ${most.closing / 1000} s` : null;
  } catch (error) {
    return `closing failed: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    stop.abort();
  }
}

function supportOf(one: ConformanceCase, harness: Harness): { support: By; refused: CapabilityPath | null } {
  const needs = Object.keys(one.needs ?? {}) as CapabilityPath[];
  const refused = needs.find((path) => capability(harness.supports, path).by === 'refused') ?? null;
  const by = one.by ?? needs[0];
  if (refused !== null) return { support: 'refused', refused };
  return { support: by === undefined ? 'native' : capability(harness.supports, by).by, refused };
}

function twinOf(one: ConformanceCase, path: CapabilityPath): ((t: CaseContext) => Promise<unknown>) | null {
  const twin = one.refused ?? TWINS[path];
  return twin === undefined ? null : (t) => twin(t, path);
}

interface Seen {
  readonly thrown: unknown;
  /** The end of the history when it was thrown. */
  readonly last: readonly string[];
  readonly refused: CapabilityPath | null;
  readonly closing: string | null;
  readonly rejections: readonly string[];
  readonly healthy: () => Promise<boolean>;
}

function failed(reason: string, text: string): Ended {
  return { verdict: 'failed', reason, slice: text };
}

async function verdictOf(one: ConformanceCase, t: Context, seen: Seen): Promise<Ended> {
  const { observed, history } = t;
  const violations = observed.judgements.flatMap((judgement) => judgement.violations);
  if (violations.length > 0) {
    const first = violations[0];
    return failed(`${violations.length} × ${first?.kind ?? ''}: ${first?.text ?? ''}`, slice(history, violations));
  }
  if (seen.thrown instanceof InfrastructureError)
    return { verdict: 'inconclusive', reason: seen.thrown.message, slice: null };
  if (seen.thrown !== null) {
    const verdict = seen.thrown instanceof CaseSignal ? seen.thrown.verdict : 'failed';
    const reason = seen.thrown instanceof Error ? seen.thrown.message : inspect(seen.thrown);
    if (verdict !== 'failed') return { verdict, reason, slice: null };
    if (!(await seen.healthy()))
      return { verdict: 'inconclusive', reason: `${reason}; the broker does not answer`, slice: null };
    const stack = seen.thrown instanceof CaseSignal || !(seen.thrown instanceof Error) ? [] : [seen.thrown.stack ?? ''];
    return failed(reason, [...stack, ...seen.last].join('\n'));
  }
  const after = [
    ...observed.afterwards,
    ...observed.unexpectedLogs.map((line) => `core logged an error that the case does not expect: ${line}`),
    ...seen.rejections.map((text) => `an unhandled rejection: ${text}`),
    ...(seen.closing === null ? [] : [seen.closing]),
  ];
  if (after[0] !== undefined) return failed(after[0], [...after, 'The last events:', ...tail(history)].join('\n'));
  const open = observed.judgements.flatMap((judgement) => judgement.inconclusive);
  if (open.length > 0) return { verdict: 'inconclusive', reason: open.join('; '), slice: null };
  const examined = observed.judgements.reduce((sum, judgement) => sum + judgement.examined, observed.asserted);
  if (examined === 0) return { verdict: 'inconclusive', reason: `${one.id} examined nothing`, slice: null };
  if (seen.refused === null) return { verdict: 'passed', reason: null, slice: null };
  return {
    verdict: 'refused',
    reason: `${seen.refused} is refused, with a typed error before anything was sent`,
    slice: null,
  };
}
