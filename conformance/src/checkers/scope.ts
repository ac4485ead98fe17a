import type { DeliveryView, History, PublishView } from '../history.ts';

/** What a checker looks at. Everything, when left out. */
export interface Scope {
  readonly topic?: string | { readonly name: string };
  readonly groups?: readonly string[];
  /** Publishes that are not judged: expired, filtered out, never meant for these groups … */
  readonly except?: (publish: PublishView) => boolean;
}

/** Publishes of the scope, sentinels left out. */
export function publishesIn(history: History, scope: Scope): PublishView[] {
  return history.publishes.filter(
    (publish) => !publish.sentinel && inTopic(scope, publish.topic) && scope.except?.(publish) !== true,
  );
}

/** Handler runs of the scope, sentinels left out. */
export function deliveriesIn(history: History, scope: Scope): DeliveryView[] {
  return history.deliveries.filter(
    (delivery) => !delivery.sentinel && inTopic(scope, delivery.topic) && inGroups(scope, delivery.group),
  );
}

export function inTopic(scope: Scope, topic: string): boolean {
  if (scope.topic === undefined) return true;
  return topic === (typeof scope.topic === 'string' ? scope.topic : scope.topic.name);
}

export function inGroups(scope: Scope, group: string): boolean {
  return scope.groups === undefined || scope.groups.includes(group);
}

export function groupBy<T>(list: readonly T[], of: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const name = of(one);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  return groups;
}

/** One text for several parts; JSON, so that no two lists share one. */
export function joined(...parts: readonly unknown[]): string {
  return JSON.stringify(parts);
}

/** Names a message the way every finding does. */
export function named(message: { id: string; key: string | null; seq: number | null; topic: string }): string {
  const place = message.seq === null ? '' : `, ${message.key === null ? '' : `key ${message.key} `}#${message.seq}`;
  return `${message.id} (${message.topic}${place})`;
}

/** The end of a handler run, as others may count on: its own end, its process's death, or never. */
export function endOf(run: DeliveryView): number {
  return run.endWall ?? run.killedWall ?? Number.POSITIVE_INFINITY;
}
