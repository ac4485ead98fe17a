import type { Checker, Finding } from '../finding.ts';
import type { History, PublishView } from '../history.ts';
import { deliveriesIn, groupBy, inGroups, inTopic, joined, named, publishesIn, type Scope } from './scope.ts';

export interface LostOptions extends Scope {
  /**
   * `ready` (default): what a group must get is what was published after it was there (D1). `all`: every confirmed
   * publish of the topic, since the groups were there before, or start at the beginning.
   */
  readonly since?: 'ready' | 'all';
  /** Milliseconds in which a publisher may not know a new group yet: `deliver.fanout.window`. */
  readonly window?: number;
  /** Count a message as there only when a handler run of it has returned: for killed consumers. */
  readonly handled?: boolean;
}

/**
 * Confirmed publishes that never reached a group that D1 counts. What is missing is only *lost* once fresh consumers
 * have read the group to its end; before that nothing can be said.
 */
export function lost(options: LostOptions = {}): Checker {
  return (history) => {
    const confirmed = publishesIn(history, options).filter((publish) => publish.outcome === 'confirmed');
    const seen = new Set(
      deliveriesIn(history, options)
        .filter((delivery) => options.handled !== true || delivery.outcome === 'returned')
        .map((delivery) => joined(delivery.topic, delivery.group, delivery.id)),
    );
    const findings: Finding[] = [];
    const undrained: string[] = [];
    const figures = { beginning: 0, middle: 0, end: 0 };
    let examined = 0;
    for (const { topic, group, since } of groups(history, options)) {
      const due = confirmed.filter((publish) => publish.topic === topic && publish.wall >= since);
      examined += due.length;
      const present = due.map((publish) => seen.has(joined(topic, group, publish.id)));
      const first = present.indexOf(true);
      const last = present.lastIndexOf(true);
      const missing = due.filter((_, index) => present[index] === false);
      if (missing.length === 0) continue;
      const drain = history.of('drained').findLast((event) => event.topic === topic && event.group === group);
      if (drain?.complete !== true) {
        const why = drain === undefined ? 'was not drained' : `could not be drained: ${drain.reason}`;
        undrained.push(`${missing.length} of ${due.length} are missing in ${group}, which ${why}`);
        continue;
      }
      for (const [index, publish] of due.entries()) {
        if (present[index] === true) continue;
        const part = first === -1 || index < first ? 'beginning' : index > last ? 'end' : 'middle';
        figures[part] += 1;
        findings.push(finding(publish, group, part, options.handled === true));
      }
    }
    return {
      checker: 'lost',
      findings,
      examined,
      figures: { lost: findings.length, ...figures },
      ...(undrained.length > 0 && findings.length === 0 ? { inconclusive: undrained.join('; ') } : {}),
    };
  };
}

function groups(history: History, options: LostOptions): { topic: string; group: string; since: number }[] {
  const ready = history
    .of('group.ready')
    .filter((event) => inTopic(options, event.topic) && inGroups(options, event.group));
  return [...groupBy(ready, (event) => joined(event.topic, event.group)).values()].flatMap((events) => {
    const event = events[0];
    if (event === undefined) return [];
    const since = options.since === 'all' ? Number.NEGATIVE_INFINITY : event.wall + (options.window ?? 0);
    return [{ topic: event.topic, group: event.group, since }];
  });
}

function finding(publish: PublishView, group: string, part: string, handled: boolean): Finding {
  const what = handled ? 'no handler of' : 'never delivered to';
  const tail = handled ? ' returned' : '';
  return {
    kind: 'lost',
    allowed: false,
    text: `${named(publish)} was confirmed, but ${what} ${group}${tail} (${part} of what was published)`,
    id: publish.id,
    key: publish.key,
    topic: publish.topic,
    group,
  };
}
