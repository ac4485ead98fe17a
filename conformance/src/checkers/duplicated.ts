import type { Checker, Finding } from '../finding.ts';
import type { ArrivalView, History } from '../history.ts';
import { deliveriesIn, groupBy, inGroups, inTopic, joined, named, type Scope } from './scope.ts';

export interface DuplicatedOptions extends Scope {
  /** The mode forbids it (at-most-once, idempotent, broker dedup, no fault): findings are violations. Default false. */
  readonly forbidden?: boolean;
  /** `returned`: only handler runs that returned count, since only those had their effect (E1). */
  readonly by?: 'delivered' | 'returned';
}

/**
 * More than one handler run of a message in a group. A run that follows one that threw is a retry, not a duplicate.
 */
export function duplicated(options: DuplicatedOptions = {}): Checker {
  return (history) => {
    const deliveries = deliveriesIn(history, options).filter(
      (delivery) => options.by !== 'returned' || delivery.outcome === 'returned',
    );
    const findings: Finding[] = [];
    const messages = groupBy(deliveries, (delivery) => joined(delivery.topic, delivery.group, delivery.id));
    for (const runs of messages.values()) {
      for (const [index, run] of runs.entries()) {
        const before = runs[index - 1];
        if (before === undefined) continue;
        if (before.outcome === 'threw' && before.endWall !== null && before.endWall <= run.wall) continue;
        findings.push({
          kind: 'duplicated',
          allowed: options.forbidden !== true,
          text: `${named(run)} reached ${run.group} again (run ${index + 1}) after a run that ${said(before.outcome)}`,
          id: run.id,
          key: run.key,
          topic: run.topic,
          group: run.group,
        });
      }
    }
    const rate = messages.size === 0 ? 0 : findings.length / messages.size;
    return {
      checker: 'duplicated',
      findings,
      examined: messages.size,
      figures: { duplicated: findings.length, duplicateRate: rate },
    };
  };
}

function said(outcome: string): string {
  return outcome === 'open' ? 'had not ended' : outcome === 'aborted' ? 'was aborted' : outcome;
}

export interface ResettledOptions extends Scope {
  /** `settle.repeats` is `rare`: findings are a rate. Default `never`: violations. */
  readonly repeats?: 'never' | 'rare';
}

/**
 * Handed out again after the broker had said that it was settled. Copies (requeued, redriven, or sent twice after an
 * unknown outcome) have the same id and are other messages: positions tell them apart, where there are any.
 */
export function resettled(options: ResettledOptions = {}): Checker {
  return (history) => {
    const arrivals = history.arrivals.filter(
      (arrival) => inTopic(options, arrival.topic) && inGroups(options, arrival.group),
    );
    const acked = ackedAt(arrivals);
    const copied = sentTwice(history);
    const findings: Finding[] = [];
    let examined = 0;
    for (const same of groupBy(arrivals, place).values()) {
      const first = same.find((arrival) => acked.has(arrival));
      if (first === undefined) continue;
      if (first.position === null && (first.origin !== 'topic' || copied.has(first.id))) continue;
      examined += 1;
      const settledAt = acked.get(first) ?? Number.POSITIVE_INFINITY;
      for (const again of same) {
        if (again === first || again.wall <= settledAt) continue;
        findings.push({
          kind: 'resettled',
          allowed: options.repeats === 'rare',
          text: `${again.id} (${again.topic}) came again to ${again.group} ${(again.wall - settledAt).toFixed(0)} ms after its ack was confirmed`,
          id: again.id,
          key: again.key,
          topic: again.topic,
          group: again.group,
        });
      }
    }
    return {
      checker: 'resettled',
      findings,
      examined,
      figures: { resettled: findings.length, resettledRate: examined === 0 ? 0 : findings.length / examined },
    };
  };
}

/** Where a stored message lies: by its position, or, without one, by its id. */
function place(arrival: ArrivalView): string {
  const at = arrival.position === null ? arrival.id : JSON.stringify(arrival.position);
  return joined(arrival.topic, arrival.group, arrival.origin, at);
}

/** When each arrival was settled by a confirmed ack, its own or a later one of its partition that was cumulative. */
function ackedAt(arrivals: readonly ArrivalView[]): Map<ArrivalView, number> {
  const acked = new Map<ArrivalView, number>();
  const lanes = groupBy(arrivals, (one) => joined(one.process, one.attachment, one.origin, one.partition));
  for (const lane of lanes.values()) {
    let watermark: number | null = null;
    for (const arrival of lane.toReversed()) {
      if (arrival.ackedWall !== null && arrival.settles.some((settle) => settle.cumulative && settle.result === 'ok'))
        watermark = watermark === null ? arrival.ackedWall : Math.min(watermark, arrival.ackedWall);
      const at = arrival.ackedWall ?? watermark;
      if (at !== null) acked.set(arrival, at);
    }
  }
  return acked;
}

function sentTwice(history: History): Set<string> {
  const once = new Set<string>();
  const twice = new Set<string>();
  for (const send of history.of('send')) {
    if (send.kind !== 'topic') continue;
    for (const [index, id] of send.ids.entries()) {
      const outcome = send.outcomes[index];
      if (outcome === 'rejected' || outcome === 'skipped') continue;
      (once.has(id) ? twice : once).add(id);
    }
  }
  return twice;
}
