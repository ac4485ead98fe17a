import type { Checker, CheckResult, Finding } from '../finding.ts';
import type { ArrivalView, History } from '../history.ts';
import { deliveriesIn, endOf, groupBy, inGroups, inTopic, joined, type Scope } from './scope.ts';

export interface LimitOptions extends Scope {
  readonly limit: number;
  /** Fewer publishes than this could not have passed the limit. Default 2 × limit + 10. */
  readonly sent?: number;
  /** Bytes: one receive may overshoot by this much. */
  readonly overshoot?: number;
  /** One consumer each (default), or the whole group. */
  readonly per?: 'consumer' | 'group';
}

interface Span {
  readonly start: number;
  readonly end: number;
  readonly weight: number;
}

/** F1: most handlers at once. The calls of a batch handler count once each. */
export function concurrency(options: LimitOptions): Checker {
  return (history) => {
    const runs = deliveriesIn(history, options);
    const calls = groupBy(runs, (run) => joined(run.consumer, run.batch ?? '', run.batch === null ? run.delivery : ''));
    const first = [...calls.values()].flatMap((list) => list.slice(0, 1));
    const lanes = groupBy(first, (run) => lane(options, run));
    return overLimit('concurrency', 'handlers at once', history, options, lanes, (run) => ({
      start: run.wall,
      end: endOf(run),
      weight: 1,
    }));
  };
}

export interface HeldOptions extends LimitOptions {
  /**
   * `settle.mode` is cumulative: what a handler has returned from frees its credit before the watermark is committed.
   */
  readonly cumulative?: boolean;
}

/** F1: most deliveries handed to core and not settled. */
export function held(options: HeldOptions): Checker {
  return (history) => overHeld('held', 'held at once', history, options, () => 1);
}

/** F1: bytes of deliveries handed to core and not settled. */
export function heldBytes(options: HeldOptions): Checker {
  return (history) => overHeld('heldBytes', 'bytes held at once', history, options, (arrival) => arrival.bytes);
}

function overHeld(
  checker: string,
  what: string,
  history: History,
  options: HeldOptions,
  weight: (arrival: ArrivalView) => number,
): CheckResult {
  const arrivals = history.arrivals.filter(
    (one) => one.origin !== 'dead-letter' && inTopic(options, one.topic) && inGroups(options, one.group),
  );
  const gone = new Map<string, number>();
  for (const event of history.of('killed', 'closed'))
    if (!gone.has(event.consumer)) gone.set(event.consumer, event.wall);
  const returned = new Map<string, number>();
  if (options.cumulative === true)
    for (const run of history.deliveries)
      if (run.outcome === 'returned' && run.arrival !== null)
        returned.set(joined(run.process, run.arrival), endOf(run));
  const ends = (one: ArrivalView): number => {
    // An attempt to settle that failed leaves it held; one that found the lease gone does not.
    const settled = one.settles.find((settle) => settle.result === 'ok' || settle.result === 'lost');
    return Math.min(
      settled?.endWall ?? Number.POSITIVE_INFINITY,
      returned.get(joined(one.process, one.arrival)) ?? Number.POSITIVE_INFINITY,
      gone.get(one.consumer) ?? Number.POSITIVE_INFINITY,
      one.detachedWall ?? Number.POSITIVE_INFINITY,
    );
  };
  return overLimit(
    checker,
    what,
    history,
    options,
    groupBy(arrivals, (one) => lane(options, one)),
    (one) => ({
      start: one.wall,
      end: ends(one),
      weight: weight(one),
    }),
  );
}

function lane(options: LimitOptions, one: { topic: string; group: string; consumer: string; bus: string }): string {
  return options.per === 'group' ? joined(one.topic, one.group) : joined(one.topic, one.group, one.bus, one.consumer);
}

function overLimit<T extends { topic: string; group: string }>(
  checker: string,
  what: string,
  history: History,
  options: LimitOptions,
  lanes: ReadonlyMap<string, readonly T[]>,
  span: (one: T) => Span,
): CheckResult {
  const most = options.limit + (options.overshoot ?? 0);
  const findings: Finding[] = [];
  let examined = 0;
  let maximum = 0;
  for (const list of lanes.values()) {
    examined += list.length;
    const peak = peakOf(list.map(span));
    maximum = Math.max(maximum, peak);
    const { topic, group } = list[0] ?? { topic: '', group: '' };
    if (peak > most)
      findings.push({
        kind: 'over-limit',
        allowed: false,
        text: `${group}: ${peak} ${what}; allowed: ${most}`,
        topic,
        group,
      });
  }
  const sent = history.publishes.filter(
    (publish) => inTopic(options, publish.topic) && publish.outcome === 'confirmed',
  ).length;
  const enough = options.sent ?? 2 * options.limit + 10;
  return {
    checker,
    findings,
    examined,
    figures: { [`${checker}Max`]: maximum, [`${checker}Limit`]: most },
    ...(sent < enough ? { inconclusive: `only ${sent} confirmed; fewer than ${enough} can't show the limit` } : {}),
  };
}

function peakOf(spans: readonly Span[]): number {
  const steps = spans.flatMap(({ start, end, weight }) => [
    { at: start, by: weight },
    { at: end, by: -weight },
  ]);
  // What ends in the instant in which another starts has made room for it.
  steps.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  let peak = 0;
  for (const step of steps) {
    now += step.by;
    peak = Math.max(peak, now);
  }
  return peak;
}
