import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAULTS, type ConformanceCase, type Cost, type Fault } from './case.ts';
import { GUARANTEE_IDS } from './guarantees.ts';
import { newRun } from './naming.ts';
import { RejectionWatch } from './rejection-watch.ts';
import type { CaseResult, TargetResult } from './result.ts';
import { runCase, type RunShared } from './run-case.ts';
import { unprovedOf } from './saboteurs/index.ts';
import { able, type Harness, type MissingTarget } from './target.ts';
import { timeFactor } from './waiting.ts';

export interface SuiteOptions {
  readonly target: Harness | MissingTarget;
  readonly cases: readonly ConformanceCase[];
  /** Only these cases. */
  readonly filter?: (one: ConformanceCase) => boolean;
  /** Only cases of these costs. Default: all. */
  readonly cost?: readonly Cost[];
  /** Default: random; it is in every result. */
  readonly seed?: number;
  readonly onProgress?: (result: CaseResult, done: number, total: number) => void;
  /** Cases at once, those that inject faults excepted. Default 4. */
  readonly parallel?: number;
  /** Keep each case's history here, as JSON lines. */
  readonly histories?: string;
  /** How much larger fault cases are to be. Default 1. */
  readonly scale?: number;
}

/** Runs the cases against one target. Never throws for what a case finds: it is in the result. */
export async function runSuite(options: SuiteOptions): Promise<TargetResult> {
  const { target, cost, filter, parallel = 4, onProgress } = options;
  const cases = options.cases.filter(
    (one) => (cost === undefined || cost.includes(one.cost)) && (filter === undefined || filter(one)),
  );
  const seed = options.seed ?? newSeed();
  const results = new Map<string, CaseResult>();
  const done = (result: CaseResult): void => {
    results.set(result.id, result);
    onProgress?.(result, results.size, cases.length);
  };
  if ('missing' in target) {
    for (const one of cases) done(missing(one, target, seed));
    return targetResult(target, [...results.values()], {});
  }
  const { histories, scale = 1 } = options;
  const suite = startSuite(target, seed, { scale, ...(histories !== undefined && { histories }) });
  try {
    // The longest first, so that no slow one is left alone at the end.
    const waits = (one: ConformanceCase): boolean =>
      alone(one) && (target.apart === undefined || !strikesConnections(one));
    const together = cases.filter((one) => !waits(one)).toSorted((a, b) => weight(b.cost) - weight(a.cost));
    const workers = Array.from({ length: Math.max(1, parallel) }, async () => {
      for (let one = together.shift(); one !== undefined; one = together.shift()) done(await suite.run(one));
    });
    await Promise.all(workers);
    for (const one of cases.filter(waits)) done(await suite.run(one));
  } finally {
    suite.end();
  }
  const ordered = cases.flatMap((one) => results.get(one.id) ?? []);
  return targetResult(target, ordered, suite.facts());
}

/** Faults that strike one consumer alone. */
const lonely: ReadonlySet<Fault> = new Set<Fault>(['kill-consumer', 'crash-connection']);

/** Whether a case must have the broker, or its connections to it, for itself: faults strike everyone there. */
export function alone(one: ConformanceCase): boolean {
  return one.cost === 'fault' || one.cost === 'long' || (one.faults ?? []).some((fault) => !lonely.has(fault));
}

/** Faults that strike everybody at the broker. */
const fatal: ReadonlySet<Fault> = new Set<Fault>(['kill-broker', 'restart', 'pause']);

/** Whether connections of its own are all that a case needs to be alone: not the broker, and not this process. */
export function strikesConnections({ cost, faults = [] }: ConformanceCase): boolean {
  return cost !== 'long' && faults.length > 0 && !faults.some((fault) => fatal.has(fault));
}

export interface Suite {
  readonly seed: number;
  run(one: ConformanceCase): Promise<CaseResult>;
  facts(): TargetResult['facts'];
  end(): void;
}

export interface StartOptions {
  /** Keep each case's history here, as JSON lines. */
  readonly histories?: string;
  /** Of waiting deadlines, not of bounds under test. Default: WAYBILL_TIME_FACTOR, which is that of both. */
  readonly patience?: number;
  /** Of message counts and rounds of fault cases, and of the time they may take. Default 1. */
  readonly scale?: number;
  /** Whether the machine has more to do than it can. Default: by its load and its cores. */
  readonly busy?: () => boolean;
}

/** What runs single cases against one target; the Vitest one-liner uses it too. */
export function startSuite(harness: Harness, seed: number, options: StartOptions = {}): Suite {
  const factor = timeFactor();
  const { histories, patience = factor, scale = 1, busy = overloaded } = options;
  const rejections = new RejectionWatch();
  let next = 0;
  const shared: RunShared = {
    harness,
    seed,
    run: newRun(),
    factor,
    patience: patience * scale,
    scale,
    folder: histories ?? mkdtempSync(join(tmpdir(), 'waybill-histories-')),
    keep: histories !== undefined,
    rejections,
    facts: {},
    next: () => ++next,
    busy,
  };
  mkdirSync(shared.folder, { recursive: true });
  rejections.start();
  return {
    seed,
    run: async (one) => {
      const { result, history } = await (alone(one) ? runAlone(one, shared) : runCase(one, shared));
      if (!shared.keep) return result;
      const name = `${harness.name}-${one.id}.jsonl`.replaceAll(/[^A-Za-z0-9.-]/g, '_');
      writeFileSync(join(shared.folder, name), history.map((event) => `${JSON.stringify(event)}\n`).join(''));
      return { ...result, history: name };
    },
    facts: () => shared.facts,
    end: () => {
      rejections.stop();
      if (!shared.keep) rmSync(shared.folder, { recursive: true, force: true });
    },
  };
}

/** With the broker, or connections to it, for itself. */
async function runAlone(one: ConformanceCase, shared: RunShared): ReturnType<typeof runCase> {
  const { harness } = shared;
  if (harness.apart === undefined) return runCase(one, shared);
  const own = { ...shared, harness: await harness.apart() };
  try {
    return await runCase(one, own);
  } finally {
    shared.facts = own.facts;
    await own.harness.close();
  }
}

/** More wanted to run in the last minute than there are cores. */
function overloaded(): boolean {
  return (loadavg()[0] ?? 0) > availableParallelism();
}

export function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

function weight(cost: Cost): number {
  return ['quick', 'slow', 'fault', 'long'].indexOf(cost);
}

function missing(one: ConformanceCase, target: MissingTarget, seed: number): CaseResult {
  const { id, title, guarantees, cost } = one;
  return {
    id,
    title,
    guarantees,
    cost,
    support: 'native',
    verdict: 'not-run',
    reason: target.missing,
    ms: 0,
    seed,
    evidence: {},
    observations: [],
    slice: null,
    history: null,
    reruns: [],
  };
}

function targetResult(
  target: Harness | MissingTarget,
  cases: readonly CaseResult[],
  facts: TargetResult['facts'],
): TargetResult {
  const ran = cases.filter((one) => one.verdict === 'passed' || one.verdict === 'failed' || one.verdict === 'refused');
  const exercised = new Set(ran.flatMap((one) => one.guarantees));
  const absent = 'missing' in target;
  return {
    name: target.name,
    how: absent ? 'none' : target.how,
    kind: absent ? 'real' : target.kind,
    version: absent ? null : (target.version ?? null),
    reason: absent ? target.missing : null,
    supports: absent ? null : target.supports,
    facts,
    abilities: absent ? [] : FAULTS.filter((fault) => able(target, fault)),
    cases,
    unexercised: GUARANTEE_IDS.filter((id) => !exercised.has(id)),
    unproved: unprovedOf(cases.map(({ id }) => id)),
    measures: [],
  };
}
