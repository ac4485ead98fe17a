import type { StartPosition } from './contract.ts';
import { type Duration, duration } from './duration.ts';
import { WaybillError } from './errors.ts';
import type { Filter } from './filter.ts';
import { type Need, unmet } from './negotiation.ts';
import type { SubscribeOptions } from './options.ts';
import type { Place } from './places.ts';
import { type Plan, resolvePlan } from './plan.ts';
import { quote } from './quote.ts';
import { startPosition } from './start.ts';

export interface ReplayOptions {
  /** Its own group, so that no other is disturbed. */
  readonly group: string;
  /** How far back: a time, so long ago, or a position. */
  readonly from: Duration | Date | StartPosition;
  /** The end is fixed when it starts. */
  readonly to?: 'now';
  /** Most messages per second. */
  readonly rate?: number;
  readonly filter?: Filter;
  readonly concurrency?: number;
  /** Accept that the broker no longer holds everything since `from`. */
  readonly partial?: boolean;
}

export interface Replay {
  readonly plan: Plan;
  readonly start: StartPosition;
  readonly needs: readonly Need[];
  /** Most messages per second. */
  readonly rate: number | null;
}

const KNOWN = ['group', 'from', 'to', 'rate', 'filter', 'concurrency', 'partial'];

/** A replay as a subscription of its own kind: it retries in place, and dead-letters nothing. @throws WaybillError `invalid` */
export function planReplay(place: Place, options: ReplayOptions, now: number): Replay {
  const { topic, destination, broker } = place;
  const { supports } = broker.link.adapter;
  const { to, rate = null, partial } = options;
  const wrong = (rule: string): WaybillError =>
    new WaybillError('invalid', `replay of '${topic.name}/${options.group}': ${rule}`);
  for (const name of Object.keys(options))
    if (!KNOWN.includes(name)) throw wrong(`${name} is not an option; allowed: ${KNOWN.join(', ')}`);
  if (to !== undefined && to !== 'now') throw wrong(`to is ${quote(to)}; allowed: now`);
  if (rate !== null && !(typeof rate === 'number' && rate > 0))
    throw wrong(`rate is ${quote(rate)}; allowed: messages per second above 0`);
  if (partial !== undefined && typeof partial !== 'boolean')
    throw wrong(`partial is ${quote(partial)}; allowed: true, false`);
  const start = startOf(options.from, now);
  const code: SubscribeOptions = {
    group: options.group,
    start,
    deadLetter: false,
    onExhausted: 'drop',
    retry: { mode: 'in-place' },
    ...(options.filter === undefined ? {} : { filter: options.filter }),
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
  };
  const need: Need = {
    path: 'deliver.replay',
    why: `replay of '${topic.name}' reads what was settled`,
    met: ({ deliver }) => deliver.replay.by !== 'refused',
  };
  return {
    plan: resolvePlan(topic, code, {}, supports, destination.partitions ?? 1),
    start,
    needs: [...place.unmet, ...unmet([need], supports)],
    rate,
  };
}

/** @throws WaybillError `invalid` when the broker no longer holds everything since `start` */
export async function checkHeld({ topic, destination, broker }: Place, start: StartPosition): Promise<void> {
  const { link } = broker;
  if (typeof start === 'string' || !('time' in start) || link.adapter.oldest === undefined) return;
  const oldest = await link.adapter.oldest(destination).catch((error: unknown) => {
    throw link.wrap(error, `replay of '${topic.name}'`);
  });
  if (oldest === null || oldest <= start.time) return;
  throw new WaybillError(
    'invalid',
    `replay of '${topic.name}' from ${new Date(start.time).toISOString()}: everything is held only since ${new Date(oldest).toISOString()}; start there, or accept less with partial: true`,
  );
}

function startOf(from: ReplayOptions['from'], now: number): StartPosition {
  if (typeof from === 'number' || (typeof from === 'string' && /^\d/.test(from)))
    return { time: Math.max(0, now - duration(from as Duration, 'from')) };
  return startPosition(from, 'from');
}
