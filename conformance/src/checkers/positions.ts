import type { Checker, Finding } from '../finding.ts';
import { groupBy, inTopic, joined, publishesIn, type Scope } from './scope.ts';

/**
 * Log brokers: a message has one position, a position one message, and a later publish of a key no earlier position.
 * Holes are allowed, and so is a second place of a message that core sent twice.
 */
export function positions(scope: Scope = {}): Checker {
  return (history) => {
    const sends = history.of('send').flatMap((send) => (send.kind === 'topic' ? send.ids : []));
    const sent = groupBy(sends, (id) => id);
    const places: { topic: string; id: string; partition: string; position: string }[] = [];
    const add = (topic: string, id: string, position: Readonly<Record<string, string>> | null): void => {
      for (const [partition, at] of Object.entries(position ?? {})) places.push({ topic, id, partition, position: at });
    };
    for (const publish of history.publishes)
      if (inTopic(scope, publish.topic)) add(publish.topic, publish.id, publish.position);
    for (const arrival of history.arrivals)
      if (inTopic(scope, arrival.topic) && arrival.origin === 'topic') add(arrival.topic, arrival.id, arrival.position);

    const findings: Finding[] = [];
    const report = (text: string, id: string, topic: string): void => {
      findings.push({ kind: 'positions', allowed: false, text, id, topic });
    };
    for (const list of groupBy(places, (one) => joined(one.topic, one.id)).values()) {
      const different = new Set(list.map((one) => `${one.partition}:${one.position}`));
      const { id = '', topic = '' } = list[0] ?? {};
      if (different.size > Math.max(1, sent.get(id)?.length ?? 1))
        report(`${id} (${topic}) lies at ${[...different].join(' and ')}`, id, topic);
    }
    for (const list of groupBy(places, (one) => joined(one.topic, one.partition, one.position)).values()) {
      const ids = [...new Set(list.map((one) => one.id))];
      const { id = '', topic = '', partition = '', position = '' } = list[0] ?? {};
      if (ids.length > 1) report(`${topic} ${partition}:${position} holds ${ids.join(' and ')}`, id, topic);
    }
    const keyed = publishesIn(history, scope).filter((one) => one.key !== null && one.position !== null);
    for (const list of groupBy(keyed, (one) => joined(one.topic, one.key, one.process, one.bus)).values()) {
      for (const [index, publish] of list.entries()) {
        const before = list[index - 1];
        if (before === undefined) continue;
        for (const [partition, at] of Object.entries(publish.position ?? {})) {
          const earlier = before.position?.[partition];
          if (earlier !== undefined && comparePositions(at, earlier) < 0)
            report(
              `${publish.id} (key ${publish.key}) lies at ${at}, before ${before.id}, published earlier`,
              publish.id,
              publish.topic,
            );
        }
      }
    }
    return { checker: 'positions', findings, examined: places.length };
  };
}

/** Positions are opaque, but made of numbers on every broker that has them: `42`, `1712-3`. */
export function comparePositions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) =>
    text
      .split(/\D+/)
      .filter((part) => part !== '')
      .map(BigInt),
  );
  for (const [index, part] of (left ?? []).entries()) {
    const other = right?.[index] ?? 0n;
    if (part !== other) return part < other ? -1 : 1;
  }
  return (left?.length ?? 0) - (right?.length ?? 0);
}
