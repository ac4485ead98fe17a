import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * How long this process was blocked since this was asked for, as an allowance for upper bounds: the suite runs other
 * cases beside this one, and what that costs is not the broker's lateness. Milliseconds.
 */
export function blockedSince(): () => number {
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  return () => (3 * delays.max) / 1_000_000;
}
