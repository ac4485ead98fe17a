import type { Checker, Finding } from '../finding.ts';
import type { DeliveryView } from '../history.ts';
import { deliveriesIn, groupBy, joined, named, publishesIn, type Scope } from './scope.ts';

/** Delivered to some group though every publish of this id was rejected or dropped. */
export function phantom(scope: Scope = {}): Checker {
  return (history) => {
    const byId = groupBy(publishesIn(history, scope), (publish) => joined(publish.topic, publish.id));
    const refused = [...byId].filter(([, all]) =>
      all.every((publish) => publish.outcome === 'rejected' || publish.outcome === 'dropped'),
    );
    const delivered = groupBy(deliveriesIn(history, scope), (delivery) => joined(delivery.topic, delivery.id));
    const findings = refused.flatMap(([id, [publish]]): Finding[] => {
      const deliveries = delivered.get(id) ?? [];
      if (publish === undefined || deliveries.length === 0) return [];
      const groups = [...new Set(deliveries.map((delivery) => delivery.group))].join(', ');
      return [
        {
          kind: 'phantom',
          allowed: false,
          text: `${named(publish)} was ${publish.outcome} (${publish.code ?? 'no code'}), but delivered to ${groups}`,
          ...about(publish),
        },
      ];
    });
    return { checker: 'phantom', findings, examined: refused.length, figures: { phantom: findings.length } };
  };
}

/** Publishes that ended unknown and were delivered after all: allowed, and worth a line. */
export function recovered(scope: Scope = {}): Checker {
  return (history) => {
    const unknown = publishesIn(history, scope).filter((publish) => publish.outcome === 'unknown');
    const delivered = new Set(deliveriesIn(history, scope).map((delivery) => joined(delivery.topic, delivery.id)));
    const findings = unknown
      .filter((publish) => delivered.has(joined(publish.topic, publish.id)))
      .map((publish): Finding => {
        return {
          kind: 'recovered',
          allowed: true,
          text: `${named(publish)} was unknown and arrived`,
          ...about(publish),
        };
      });
    return {
      checker: 'recovered',
      findings,
      examined: unknown.length,
      figures: { unknown: unknown.length, recovered: findings.length },
    };
  };
}

export interface UnexpectedOptions extends Scope {
  /** Whether a message is meant for a group: start positions, filters, redrives. Default: every group of its topic. */
  readonly expected?: (
    publish: { id: string; key: string | null; seq: number | null; wall: number },
    group: string,
  ) => boolean;
  /** Deliveries that came from elsewhere on purpose (put by the spy). */
  readonly known?: (delivery: DeliveryView) => boolean;
  /** The run that stamps messages: those of another run are foreign, ignored and counted. */
  readonly run?: string;
}

/** Delivered, but never published; or published to another topic; or not meant for this group. */
export function unexpected(options: UnexpectedOptions = {}): Checker {
  return (history) => {
    const published = groupBy(history.publishes, (publish) => publish.id);
    // Of an offered message nobody learns the id.
    const offered = groupBy(published.get('') ?? [], (publish) => publish.body);
    const deliveries = deliveriesIn(history, options);
    const findings: Finding[] = [];
    let foreign = 0;
    for (const delivery of deliveries) {
      if (options.known?.(delivery) === true) continue;
      if (options.run !== undefined && delivery.run !== null && delivery.run !== options.run) {
        foreign += 1;
        continue;
      }
      const all = published.get(delivery.id) ?? offered.get(delivery.body) ?? [];
      const own = all.find((publish) => publish.topic === delivery.topic);
      let problem: string | null = null;
      if (all[0] === undefined) problem = 'was never published';
      else if (own === undefined) problem = `was published to ${all[0].topic}`;
      else if (options.expected?.(own, delivery.group) === false) problem = 'is not meant for it';
      if (problem === null) continue;
      findings.push({
        kind: 'unexpected',
        allowed: false,
        text: `${delivery.group} got ${named(delivery)}, which ${problem}`,
        ...about(delivery),
        group: delivery.group,
      });
    }
    return { checker: 'unexpected', findings, examined: deliveries.length - foreign, figures: { foreign } };
  };
}

function about(message: { id: string; key: string | null; topic: string }): Pick<Finding, 'id' | 'key' | 'topic'> {
  return { id: message.id, key: message.key, topic: message.topic };
}
