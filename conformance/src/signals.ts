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

/** A deadline has passed. */
export class LateSignal extends CaseSignal {
  constructor(reason: string) {
    super('failed', reason);
  }
}

/** Ends what a case still waits for when its time is over. A case that is over may leave it unhandled. */
export class CaseOver extends CaseSignal {
  constructor() {
    super('failed', 'the case ran out of time');
  }
}

/** Infrastructure failed (a broker did not start, a port was taken): the case is tried again. */
export class InfrastructureError extends Error {
  override readonly name: string = 'InfrastructureError';
}
