/**
 * The suite that every Waybill adapter passes, as data: cases, what runs them, and pure checkers of histories. Vitest's
 * one line is in `@waybill/conformance/vitest`.
 *
 * @module
 */
export type { CaseContext } from './case-context.ts';
export type * from './case-types.ts';
export { type ConformanceCase, type Cost, type Fault, FAULTS, type Verdict } from './case.ts';
export { CASES } from './cases/index.ts';
export * as checkers from './checkers/index.ts';
export type * from './event.ts';
export { type Checker, type CheckResult, type Finding, judge, type Judgement } from './finding.ts';
export { GUARANTEE_IDS, type GuaranteeId, GUARANTEES } from './guarantees.ts';
export { memoryHarness, type MemoryVariant } from './harness/memory.ts';
export { wrapHarness } from './harness/wrapped.ts';
export { History, type ArrivalView, type DeliveryView, type PublishView } from './history.ts';
export { HistoryWriter, parseHistory, readHistories } from './history-file.ts';
export { Random } from './random.ts';
export type { CaseResult, Measure, TargetResult } from './result.ts';
export { runSuite, startSuite, type Suite, type SuiteOptions } from './runner.ts';
export { SABOTEURS, unprovedOf } from './saboteurs/index.ts';
export {
  type ProofOptions,
  proveSaboteur,
  proveSuite,
  type SaboteurProof,
  type SuiteProof,
  type Trial,
} from './saboteurs/proof.ts';
export type { Saboteur } from './saboteurs/saboteur.ts';
export { CaseSignal, InfrastructureError } from './signals.ts';
export { slice } from './slice.ts';
export {
  type FaultAction,
  type FaultRequest,
  type Harness,
  type Heal,
  type MissingTarget,
  NotAble,
  type RawRecord,
  type Spy,
} from './target.ts';
