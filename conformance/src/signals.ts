import type { Verdict } from './case.ts';

/** Ends a case with a verdict and its reason. */
export class CaseSignal extends Error {
  override readonly name: string = 'CaseSignal';
  readonly verdict: Exclude<Verdict, 'passed' | 'refused'>;

  constructor(verdict: CaseSignal['verdict'], reason: string) {
    super(reason);
    this.verdict = verdict;
  }
}

/** Infrastructure failed (a broker did not start, a port was taken): the only thing that is tried again. */
export class InfrastructureError extends Error {
  override readonly name: string = 'InfrastructureError';
}
