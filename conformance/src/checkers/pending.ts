import type { Checker, Finding } from '../finding.ts';
import { named, publishesIn, type Scope } from './scope.ts';

/** Promises that were never settled: publishes, and what the case tracked. */
export function pending(scope: Scope = {}): Checker {
  return (history) => {
    const publishes = publishesIn(history, scope);
    const open = publishes.filter((publish) => publish.outcome === 'open');
    const tracked = history.of('promise.start');
    const ended = new Set(history.of('promise.end').map((event) => `${event.process}/${event.op}`));
    const findings: Finding[] = [
      ...open.map((publish): Finding => {
        const text = `publish of ${named(publish)} was never settled`;
        return { kind: 'pending', allowed: false, text, id: publish.id, key: publish.key, topic: publish.topic };
      }),
      ...tracked
        .filter((event) => !ended.has(`${event.process}/${event.op}`))
        .map((event): Finding => ({ kind: 'pending', allowed: false, text: `${event.what} was never settled` })),
    ];
    return { checker: 'pending', findings, examined: publishes.length + tracked.length };
  };
}
