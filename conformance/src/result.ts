import type { By, Facts, Supports } from '@waybill/core/adapter';
import type { Cost, Fault, Verdict } from './case.ts';
import type { GuaranteeId } from './guarantees.ts';
import type { Harness } from './target.ts';

/** One row of the report: `targets[].cases[]`. */
export interface CaseResult {
  readonly id: string;
  readonly title: string;
  readonly guarantees: readonly GuaranteeId[];
  readonly cost: Cost;
  readonly support: By;
  readonly verdict: Verdict;
  /** Why, for every verdict but `passed`; null there. */
  readonly reason: string | null;
  readonly ms: number;
  readonly seed: number;
  /** published, delivered, settled, lost, duplicated, reordered …, and what the case measured. */
  readonly evidence: Readonly<Record<string, number>>;
  /** Worth saying, and failing nothing: `works though refused`, a known gap that is gone. */
  readonly observations: readonly string[];
  /** The part of the history that shows the failure. */
  readonly slice: string | null;
  /** Name of the history file in the run's folder; null where none was kept. */
  readonly history: string | null;
  /** Infrastructure failures before this verdict. */
  readonly reruns: readonly string[];
}

export interface Measure {
  readonly id: string;
  readonly unit: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly ratio: number | null;
  readonly against: string | null;
}

/** One entry of the report's `targets`. */
export interface TargetResult {
  readonly name: string;
  readonly how: Harness['how'];
  readonly kind: Harness['kind'];
  readonly version: string | null;
  /** Why nothing was run; null when something was. */
  readonly reason: string | null;
  readonly supports: Supports | null;
  readonly facts: Facts;
  /** Faults that the harness can inject. */
  readonly abilities: readonly Fault[];
  readonly cases: readonly CaseResult[];
  /** Guarantees that no case of this run exercised. */
  readonly unexercised: readonly GuaranteeId[];
  /** Cases of this run that no saboteur is known to fail. */
  readonly unproved: readonly string[];
  readonly measures: readonly Measure[];
}
