import type { Checker, Finding } from '../finding.ts';
import { deliveriesIn, joined, named, publishesIn, type Scope } from './scope.ts';

/** P4: body, headers, key and time arrive as they were published. */
export function content(scope: Scope = {}): Checker {
  return (history) => {
    const published = new Map(
      publishesIn(history, scope).map((publish) => [joined(publish.topic, publish.id), publish]),
    );
    const findings: Finding[] = [];
    let examined = 0;
    for (const run of deliveriesIn(history, scope)) {
      const publish = published.get(joined(run.topic, run.id));
      if (publish === undefined) continue;
      examined += 1;
      const different = [
        publish.body === run.body ? null : 'body',
        publish.headers === run.headers ? null : 'headers',
        publish.key === run.key ? null : `key (${String(publish.key)} became ${String(run.key)})`,
        publish.time === null || publish.time === run.time ? null : `time (${publish.time} became ${run.time})`,
      ].filter((part) => part !== null);
      if (different.length === 0) continue;
      findings.push({
        kind: 'content',
        allowed: false,
        text: `${run.group}: ${named(run)} arrived with another ${different.join(', ')}`,
        id: run.id,
        key: run.key,
        topic: run.topic,
        group: run.group,
      });
    }
    return { checker: 'content', findings, examined };
  };
}
