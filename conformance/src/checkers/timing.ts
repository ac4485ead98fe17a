import type { Checker, Finding } from '../finding.ts';
import type { DeliveryView, History } from '../history.ts';
import { deliveriesIn, groupBy, joined, named, publishesIn, type Scope } from './scope.ts';

/** Something that had to happen not before `low` and not after `high` milliseconds. */
export interface Measured {
  readonly ms: number;
  readonly low: number;
  /** Null: no upper bound. Scale it by WAYBILL_TIME_FACTOR; never scale `low`. */
  readonly high: number | null;
  readonly text: string;
  readonly id?: string;
  readonly key?: string | null;
  readonly topic?: string;
  readonly group?: string;
}

/** Clocks are read in whole and in parts of milliseconds; a difference below this is no finding. */
const readingError = 1;

/** `early` and `late` over any measured intervals. */
export function timing(what: string, measure: (history: History) => readonly Measured[]): Checker {
  return (history) => {
    const all = measure(history);
    const findings: Finding[] = [];
    for (const { ms, low, high, text, ...place } of all) {
      const kind = ms < low - readingError ? 'early' : high !== null && ms > high ? 'late' : null;
      if (kind === null) continue;
      const allowed = `${low.toFixed(0)} to ${high === null ? '∞' : high.toFixed(0)} ms`;
      findings.push({ kind, allowed: false, text: `${text}: ${ms.toFixed(1)} ms; allowed: ${allowed}`, ...place });
    }
    const times = all.map((one) => one.ms).toSorted((a, b) => a - b);
    const figures =
      times.length === 0
        ? {}
        : {
            [`${what}Min`]: times[0] ?? 0,
            [`${what}Median`]: times[times.length >> 1] ?? 0,
            [`${what}Max`]: times.at(-1) ?? 0,
          };
    return { checker: what, findings, examined: all.length, figures };
  };
}

export interface DelayedOptions extends Scope {
  /** `publish.delay.lateness + granularity`, scaled. */
  readonly lateness: number;
}

/** P7: delayed messages, from the call of `publish` to the first handler; the upper bound counts from its end. */
export function delayed(options: DelayedOptions): Checker {
  return timing('delay', (history) => {
    const first = firstDeliveries(history, options);
    return publishesIn(history, options).flatMap((publish): Measured[] => {
      if (publish.delay === null) return [];
      const runs = first.get(joined(publish.topic, publish.id)) ?? [];
      const spent = (publish.endWall ?? publish.wall) - publish.wall;
      return runs.map((run) => ({
        ms: run.wall - publish.wall,
        low: publish.delay ?? 0,
        high: (publish.delay ?? 0) + spent + options.lateness,
        text: `${named(publish)} delayed by ${publish.delay} ms reached ${run.group}`,
        ...about(run),
      }));
    });
  });
}

export interface BackoffOptions extends Scope {
  /** The policy's pause after this attempt, jitter and the declared lateness in it. */
  readonly bounds: (attempt: number) => { readonly low: number; readonly high: number | null };
}

/** R2: from the end of a run that threw to the start of the message's next run. */
export function backoff(options: BackoffOptions): Checker {
  return timing('backoff', (history) => {
    const messages = groupBy(deliveriesIn(history, options), (run) => joined(run.topic, run.group, run.id));
    return [...messages.values()].flatMap((runs) =>
      runs.flatMap((run, index): Measured[] => {
        const before = runs[index - 1];
        if (before?.outcome !== 'threw' || before.endWall === null || run.attempt !== before.attempt + 1) return [];
        const bounds = options.bounds(before.attempt);
        return [
          {
            ms: run.wall - before.endWall,
            ...bounds,
            text: `${run.group}: ${named(run)}, attempt ${before.attempt} to ${run.attempt}`,
            ...about(run),
          },
        ];
      }),
    );
  });
}

export interface RedeliveredOptions extends Scope {
  /** `deliver.redelivery.bound`, scaled. */
  readonly bound: number;
}

/** D5: what a killed consumer was handling comes again in time. What never comes is for `lost`. */
export function redelivered(options: RedeliveredOptions): Checker {
  return timing('redelivery', (history) => {
    const runs = deliveriesIn(history, options);
    const messages = groupBy(runs, (run) => joined(run.topic, run.group, run.id));
    return runs.flatMap((run): Measured[] => {
      const killed = run.killedWall;
      if (killed === null) return [];
      const again = (messages.get(joined(run.topic, run.group, run.id)) ?? []).find((other) => other.wall > killed);
      if (again === undefined) return [];
      const text = `${run.group}: ${named(run)} again after its consumer was killed`;
      return [{ ms: again.wall - killed, low: 0, high: options.bound, text, ...about(run) }];
    });
  });
}

/** D10: no handler starts after `expires`. Clocks of one machine are compared. */
export function expiredInTime(scope: Scope = {}): Checker {
  return timing('expired', (history) => {
    const expires = new Map(
      publishesIn(history, scope).flatMap((publish) =>
        publish.expires === null ? [] : [[joined(publish.topic, publish.id), publish.expires] as const],
      ),
    );
    return deliveriesIn(history, scope).flatMap((run): Measured[] => {
      const end = expires.get(joined(run.topic, run.id));
      if (end === undefined) return [];
      const text = `${run.group}: a handler of ${named(run)} started after it had expired, by`;
      return [{ ms: run.wall - end, low: Number.NEGATIVE_INFINITY, high: readingError, text, ...about(run) }];
    });
  });
}

function firstDeliveries(history: History, scope: Scope): Map<string, DeliveryView[]> {
  const first = new Map<string, DeliveryView>();
  for (const run of deliveriesIn(history, scope)) {
    const of = joined(run.topic, run.group, run.id);
    if (!first.has(of)) first.set(of, run);
  }
  return groupBy([...first.values()], (run) => joined(run.topic, run.id));
}

function about(run: DeliveryView): Pick<Measured, 'id' | 'key' | 'topic' | 'group'> {
  return { id: run.id, key: run.key, topic: run.topic, group: run.group };
}
