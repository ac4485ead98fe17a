import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { CaseContext } from '../case-context.ts';

/**
 * How long this process was blocked since this was asked for, as an allowance for upper bounds: the suite runs other
 * cases beside this one, and what that costs is not the broker's lateness. Milliseconds.
 */
export function blockedSince(): () => number {
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  return () => (3 * delays.max) / 1_000_000;
}

/** A short lease, which the timers of a busy machine can still keep up with. */
export function shortest(t: CaseContext): number {
  return Math.max(2_000, t.supports.lease.granularity);
}

/** A process that is blocked for half a lease can't extend it: then nothing is shown, good or bad. */
export function mustRun(t: CaseContext, lease: number, blocked: () => number): void {
  if (blocked() > lease) t.inconclusive('this process was blocked for so long that a lease could not be extended');
}
