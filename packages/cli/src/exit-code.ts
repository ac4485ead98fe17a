import type { TargetResult } from '@waybill/conformance';
import type { Report } from './report-types.ts';

/** 0: all well. 1: a case failed. 2: usage or configuration. 3: something that had to be proved was not. */
export type ExitCode = 0 | 1 | 2 | 3;

/** Brokers that must run: their names, or all that this run names. */
export type Required = 'all' | readonly string[];

/** Case id to reason, per target: what is known not to be provable there. */
export type KnownGaps = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What a run of the suite ends with; the first rule that applies. Code 2 is decided before anything runs. */
export function exitCodeOf(report: Report, required: Required, knownGaps: KnownGaps = {}): 0 | 1 | 3 {
  const { targets } = report;
  if (targets.some((target) => target.cases.some((one) => one.verdict === 'failed'))) return 1;
  const names = required === 'all' ? targets.map((target) => target.name) : required;
  const ran = (name: string): boolean => targets.some((target) => target.name === name && didRun(target));
  if (!names.every(ran)) return 3;
  return targets.some((target) => hasUnknownGap(target, knownGaps[target.name] ?? {})) ? 3 : 0;
}

/** `WAYBILL_REQUIRE`: `all`, or names with commas between them. */
export function requiredOf(text: string | undefined): Required {
  if (text === undefined || text.trim() === '') return [];
  const names = text.split(',').map((name) => name.trim());
  return names.includes('all') ? 'all' : names.filter((name) => name !== '');
}

/** A target without a single verdict on a broker has not run, whatever it was called. */
function didRun(target: TargetResult): boolean {
  return target.how !== 'none' && target.cases.some((one) => one.verdict !== 'not-run');
}

function hasUnknownGap(target: TargetResult, known: Readonly<Record<string, string>>): boolean {
  return target.cases.some((one) => one.verdict === 'inconclusive' && !Object.hasOwn(known, one.id));
}
