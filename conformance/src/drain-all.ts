import type { SubscribeOptions, Topic } from '@waybill/core';
import type { CaseContext } from './case-context.ts';
import type { Consumer, Stamped } from './case-types.ts';
import type { History } from './history.ts';
import type { Recorder } from './recorder.ts';

/** Nothing for so long means that nothing will come; longer where the broker gives back late. Scaled. */
const idle = 5_000;

/** What fresh consumers must still bring: confirmed, no run returned, no dead letter stored. */
function outstanding(history: History, topic: string, group: string): Set<string> {
  const ids = new Set(
    history.publishes.flatMap((publish) =>
      publish.topic === topic && publish.outcome === 'confirmed' ? [publish.id] : [],
    ),
  );
  for (const run of history.deliveries)
    if (run.topic === topic && run.group === group && run.outcome === 'returned') ids.delete(run.id);
  for (const id of deadLettered(history, topic, group)) ids.delete(id);
  return ids;
}

/** See `CaseContext.deadLettered`. */
export function deadLettered(history: History, topic: string, group: string): string[] {
  return history.of('send').flatMap((send) => {
    const wanted = send.kind === 'dead-letter' && send.topic === topic && send.group === group;
    return wanted ? send.ids.filter((_, index) => send.outcomes[index] === 'confirmed') : [];
  });
}

/** See `CaseContext.drainAll`. */
export async function drainAll(
  t: CaseContext,
  recorder: Recorder,
  topic: Topic<Stamped>,
  groups: readonly string[],
  options: Partial<SubscribeOptions>,
): Promise<void> {
  const quiet = t.scaled(Math.max(idle, t.supports.deliver.redelivery.bound + 2_000));
  await Promise.all(
    groups.map(async (group) => {
      const missing = outstanding(t.history, topic.name, group);
      const bus = await t.connect({ topics: [topic] });
      let last = t.now();
      const consumer = await t.consume(bus, topic, { ...options, group }, (message) => {
        last = t.now();
        missing.delete(message.id);
      });
      await t.until(() => missing.size === 0 || t.now() - last > quiet, `${group} is drained`, { total: 300_000 });
      await t.straggle();
      const { status } = bus.health();
      const complete = missing.size === 0 || status === 'ready';
      const reason = complete ? '' : `its bus was ${status}`;
      recorder.record({ type: 'drained', topic: topic.name, group, complete, reason });
      await consumer.close();
      await bus.close();
    }),
  );
}

/** See `CaseContext.delivered`. */
export async function delivered(
  t: CaseContext,
  reached: (condition: () => boolean) => Promise<string | null>,
  topic: Topic<Stamped>,
  consumers: readonly Consumer[],
): Promise<void> {
  const groups = [...new Set(consumers.map((consumer) => consumer.group))];
  const confirmed = t.history.publishes.filter(
    (publish) => publish.topic === topic.name && publish.outcome === 'confirmed' && !publish.sentinel,
  );
  const complete = (): boolean =>
    groups.every((group) => {
      const members = consumers.filter((consumer) => consumer.group === group);
      // Cheap first: the sets are compared only when they may be equal.
      if (members.reduce((sum, member) => sum + member.distinct, 0) < confirmed.length) return false;
      return confirmed.every((publish) => members.some((member) => member.ids.has(publish.id)));
    });
  const late = await reached(complete);
  if (late === null) return;
  t.note(`not everything was delivered (${late}); fresh consumers drain ${groups.join(', ')}`);
  await Promise.all(consumers.map((consumer) => consumer.close()));
  await t.drainAll(topic, groups);
}
