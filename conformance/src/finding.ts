import type { History } from './history.ts';

/** What a checker found. `allowed` findings are reported and fail nothing. */
export interface Finding {
  /** `lost`, `duplicated`, `reordered` … */
  readonly kind: string;
  readonly allowed: boolean;
  /** One sentence that names topic, group, message, key. */
  readonly text: string;
  /** The message it is about, for cutting the history. */
  readonly id?: string;
  readonly key?: string | null;
  readonly group?: string;
  readonly topic?: string;
}

export interface CheckResult {
  readonly checker: string;
  readonly findings: readonly Finding[];
  /** How many things were looked at. None: the case is inconclusive. */
  readonly examined: number;
  /** Figures for the report: rates, measured delays, maxima. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Set when this check could not be made, so that the case is inconclusive. */
  readonly inconclusive?: string;
}

/** Pure: reads a history and changes nothing. */
export type Checker = (history: History) => CheckResult;

/** What all checkers of a case said together. */
export interface Judgement {
  readonly results: readonly CheckResult[];
  readonly violations: readonly Finding[];
  readonly allowed: readonly Finding[];
  readonly examined: number;
  /** Reasons why nothing can be said, if any. */
  readonly inconclusive: readonly string[];
}

/** Runs checkers over one history. */
export function judge(history: History, checkers: readonly Checker[]): Judgement {
  const results = checkers.map((checker) => checker(history));
  const findings = results.flatMap((result) => result.findings);
  const inconclusive = results.flatMap((result) => {
    if (result.inconclusive !== undefined) return [`${result.checker}: ${result.inconclusive}`];
    return result.examined === 0 ? [`${result.checker} examined nothing`] : [];
  });
  if (results.length === 0) inconclusive.push('no checker was asked');
  return {
    results,
    violations: findings.filter((finding) => !finding.allowed),
    allowed: findings.filter((finding) => finding.allowed),
    examined: results.reduce((sum, result) => sum + result.examined, 0),
    inconclusive,
  };
}
