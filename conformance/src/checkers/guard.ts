import type { Checker } from '../finding.ts';
import { deliveriesIn, endOf, publishesIn, type Scope } from './scope.ts';

export interface GuardOptions extends Scope {
  readonly confirmed?: number;
  readonly delivered?: number;
  readonly returned?: number;
  readonly threw?: number;
  readonly rejected?: number;
  readonly unknown?: number;
  /** At least one publish was open or one handler running whenever a fault began. */
  readonly busyAtFault?: boolean;
  /** Faults that must have begun. */
  readonly faults?: number;
}

/**
 * Whether the history can show anything: an operation that never succeeded, or a fault that hit nothing, makes the case
 * inconclusive, not passed.
 */
export function guard(options: GuardOptions): Checker {
  return (history) => {
    const publishes = publishesIn(history, options);
    const runs = deliveriesIn(history, options);
    const counts = {
      confirmed: publishes.filter((one) => one.outcome === 'confirmed').length,
      rejected: publishes.filter((one) => one.outcome === 'rejected').length,
      unknown: publishes.filter((one) => one.outcome === 'unknown').length,
      delivered: runs.length,
      returned: runs.filter((one) => one.outcome === 'returned').length,
      threw: runs.filter((one) => one.outcome === 'threw').length,
      faults: history.of('fault.start').length,
    };
    const few = (Object.keys(counts) as (keyof typeof counts)[]).flatMap((name) => {
      const wanted = options[name];
      return wanted !== undefined && counts[name] < wanted ? [`${counts[name]} ${name}, wanted ${wanted}`] : [];
    });
    if (options.busyAtFault === true) {
      for (const fault of history.of('fault.start')) {
        const busy =
          publishes.some((one) => one.wall <= fault.wall && (one.endWall ?? Number.POSITIVE_INFINITY) >= fault.wall) ||
          runs.some((one) => one.wall <= fault.wall && endOf(one) >= fault.wall);
        if (!busy) few.push(`nothing was in flight when ${fault.fault} began`);
      }
    }
    return {
      checker: 'guard',
      findings: [],
      examined: publishes.length + runs.length,
      figures: counts,
      ...(few.length > 0 ? { inconclusive: few.join('; ') } : {}),
    };
  };
}
