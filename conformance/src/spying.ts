import type { CaseSpy } from './case-types.ts';
import { CaseSignal } from './signals.ts';
import { type Harness, NotAble, type Spy } from './target.ts';

const methods: readonly (keyof Spy)[] = ['objects', 'depth', 'inFlight', 'consumers', 'deadLetters', 'put'];

/** The harness's spy with every method there; those it lacks end the case as `not-run`. */
export function spyOf(harness: Harness): CaseSpy {
  const spy: Record<string, unknown> = {};
  for (const method of methods) {
    const own = harness.spy?.[method]?.bind(harness.spy) as ((...args: unknown[]) => Promise<unknown>) | undefined;
    spy[method] =
      (own === undefined ? undefined : (...args: unknown[]) => own(...args).catch(notRun)) ??
      ((): never => {
        throw new CaseSignal('not-run', `the harness of ${harness.name} can not spy: ${method}`);
      });
  }
  return spy as unknown as CaseSpy;
}

function notRun(error: unknown): never {
  throw error instanceof NotAble ? new CaseSignal('not-run', error.message) : error;
}
