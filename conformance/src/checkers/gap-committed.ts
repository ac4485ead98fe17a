import type { Checker, Finding } from '../finding.ts';
import { groupBy, inGroups, inTopic, joined, type Scope } from './scope.ts';

/**
 * D5: a consumer ended while an arrival was unsettled below one of its partition that was done. The unsettled one must
 * arrive again: a commit past the gap would hide it for ever. Needs a consumer that came after.
 */
export function gapCommitted(scope: Scope = {}): Checker {
  return (history) => {
    const arrivals = history.arrivals.filter(
      (one) => one.origin !== 'dead-letter' && inTopic(scope, one.topic) && inGroups(scope, one.group),
    );
    const killed = new Map(history.of('killed', 'closed').map((event) => [event.consumer, event.wall]));
    const runs = groupBy(history.deliveries, (run) => joined(run.process, run.arrival));
    const findings: Finding[] = [];
    let examined = 0;
    for (const lane of groupBy(arrivals, (one) =>
      joined(one.process, one.attachment, one.origin, one.partition),
    ).values()) {
      const consumer = lane[0]?.consumer ?? '';
      const end = lane[0]?.detachedWall ?? killed.get(consumer);
      if (end === undefined) continue;
      const done = lane.map(
        (one) =>
          one.settles.some((settle) => settle.kind === 'ack' && !settle.cumulative && settle.result === 'ok') ||
          (runs.get(joined(one.process, one.arrival)) ?? []).some((run) => run.outcome === 'returned'),
      );
      const highest = done.lastIndexOf(true);
      for (const [index, one] of lane.entries()) {
        if (done[index] === true || index >= highest) continue;
        // Given back, or copied to the inbox before its ack: its own arrangements, not a gap.
        if (one.settles.some((settle) => settle.result === 'ok' && !settle.cumulative)) continue;
        examined += 1;
        const again = arrivals.some(
          (other) => other.id === one.id && other.topic === one.topic && other.group === one.group && other.wall > end,
        );
        if (again) continue;
        findings.push({
          kind: 'gap-committed',
          allowed: false,
          text: `${one.group}: ${one.id} (${one.topic}, partition ${one.partition}) was unsettled below a settled one when ${consumer} ended, and never came again`,
          id: one.id,
          key: one.key,
          topic: one.topic,
          group: one.group,
        });
      }
    }
    return { checker: 'gap-committed', findings, examined };
  };
}
