import {
  CASES,
  type ConformanceCase,
  type Cost,
  type Harness,
  type MissingTarget,
  runSuite,
  type TargetResult,
} from '@waybill/conformance';
import type { KnownGaps } from './exit-code.ts';
import type { Progress } from './progress.ts';
import { UsageError } from './usage-error.ts';

export const COSTS: readonly Cost[] = ['quick', 'slow', 'fault', 'long'];

export interface Selection {
  /** A case's id, or a guarantee's, or the beginning of a case's id. */
  readonly filter?: string;
  readonly costs: readonly Cost[];
  /** Those that inject faults, whatever they cost, and no others. */
  readonly faults?: boolean;
}

/** The cases that a command asks for. @throws UsageError where there are none: a run of nothing proves nothing. */
export function selectCases({ filter, costs, faults = false }: Selection): readonly ConformanceCase[] {
  const wanted = (one: ConformanceCase): boolean =>
    filter === undefined || one.id.startsWith(filter) || one.guarantees.some((guarantee) => guarantee === filter);
  const chosen = ({ cost, faults: injected }: ConformanceCase): boolean =>
    faults ? cost === 'fault' || injected !== undefined : costs.includes(cost);
  const cases = CASES.filter((one) => chosen(one) && wanted(one));
  if (cases.length > 0) return cases;
  const matched = CASES.filter(wanted);
  const hint =
    matched.length === 0
      ? 'no case has such an id'
      : faults
        ? 'such cases inject none'
        : `${matched.map((one) => `${one.id} (${one.cost})`).join(', ')} cost more`;
  const said = faults ? '--faults' : `--cost ${costs.join(',')}`;
  throw new UsageError(`--filter ${filter ?? ''} ${said} selects no case: ${hint}`);
}

export interface RunOptions {
  readonly cases: readonly ConformanceCase[];
  readonly seed: number;
  readonly progress: Progress;
  /** A folder for histories. */
  readonly histories?: string;
  /** How much larger fault cases are to be. Default 1. */
  readonly scale?: number;
}

/** Runs the cases on one target; on none, each is `not-run` with its reason. */
export async function runTarget(target: Harness | MissingTarget, options: RunOptions): Promise<TargetResult> {
  const { cases, seed, progress, histories, scale = 1 } = options;
  progress.update(target.name, 0, cases.length);
  return runSuite({
    target,
    cases,
    seed,
    scale,
    ...(histories !== undefined && { histories }),
    onProgress: ({ id }, done, total) => progress.update(target.name, done, total, id),
  });
}

export function isMissing(target: Harness | MissingTarget): target is MissingTarget {
  return 'missing' in target;
}

export function knownGapsOf(target: Harness | MissingTarget): KnownGaps[string] {
  return isMissing(target) ? {} : (target.knownGaps ?? {});
}
