import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { CaseContext } from '../case-context.ts';
import { InfrastructureError } from '../signals.ts';

/**
 * How long this process was blocked since this was asked for, as an allowance for upper bounds: the suite runs other
 * cases beside this one, and what that costs is not the broker's lateness. Milliseconds.
 */
export function blockedSince(): () => number {
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  return () => (3 * delays.max) / 1_000_000;
}

/** A short lease, which a busy machine's timers and its broker's answers can still keep up with. */
export function shortest(t: CaseContext): number {
  const answers = t.target.how === 'embedded' ? 0 : t.paced(2_000);
  return Math.max(2_000, answers, t.supports.lease.granularity);
}

/** A process that did not run for a third of a lease can't extend it: nothing is shown, good or bad. @throws InfrastructureError */
export function mustRun(lease: number, blocked: () => number): void {
  const ms = blocked();
  if (ms > lease)
    throw new InfrastructureError(
      `this process did not run for ${Math.round(ms / 3)} ms, so that a lease of ${lease} ms could end`,
    );
}
