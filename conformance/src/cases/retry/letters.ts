import type { BusEventName, BusEvents, DeadMessage, Topic } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus } from '../../case-types.ts';

/** Every event of this name from now on; a live list. */
export function heard<K extends BusEventName>(bus: CaseBus, name: K): readonly BusEvents[K][] {
  const events: BusEvents[K][] = [];
  bus.on(name, (event) => events.push(event));
  return events;
}

/**
 * What lies in a group's dead-letter topic. Listed where the broker lets one look; elsewhere shown to a redrive that
 * wants none of it.
 */
export async function deadLetters<T>(
  t: CaseContext,
  bus: CaseBus,
  topic: Topic<T>,
  group: string,
): Promise<readonly DeadMessage[]> {
  const letters = bus.dlq(topic, group);
  if (t.supports.browse.by !== 'refused') return letters.list({ max: 1_000 });
  const seen: DeadMessage[] = [];
  const { redriven } = await letters.redrive({
    where: (message) => {
      seen.push(message);
      return false;
    },
  });
  t.equal(redriven, 0, 'messages redriven by a redrive that wanted none');
  return seen;
}
