import type { ConsumerState } from './consumer.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import type { LinkState } from './link.ts';
import type { Facts } from './contract.ts';
import type { Broker } from './places.ts';
import type { Subscription } from './subscription.ts';

/** A snapshot of a bus. */
export interface Health {
  /**
   * `ready`; `reconnecting`: a broker's connection is being made again; `stalled`: a subscription that should receive
   * has had no answer from its broker for a minute, or is being opened again; `closed`.
   */
  readonly status: 'ready' | 'reconnecting' | 'stalled' | 'closed';
  readonly brokers: Readonly<
    Record<string, { adapter: string; state: LinkState; facts: Facts; pending: number; error: string | null }>
  >;
  readonly subscriptions: readonly {
    readonly topic: string;
    readonly group: string;
    readonly status: ConsumerState;
    readonly held: number;
    readonly running: number;
    readonly counts: Readonly<DispatchCounts>;
  }[];
  /** Best-effort messages dropped, by `topic reason`. */
  readonly dropped: Readonly<Record<string, number>>;
}

const STALLED_AFTER = 60_000;

export function healthOf(
  brokers: ReadonlyMap<string, Broker>,
  subscriptions: ReadonlySet<Subscription>,
  closed: boolean,
  now: number,
): Health {
  const links: Record<string, Health['brokers'][string]> = {};
  const dropped: Record<string, number> = {};
  let status: Health['status'] = 'ready';
  for (const subscription of subscriptions) {
    const silent =
      subscription.status === 'subscribed' &&
      subscription.held === 0 &&
      now - (subscription.lastReceive ?? now) > STALLED_AFTER;
    if (subscription.status === 'resubscribing' || subscription.status === 'stopped' || silent) status = 'stalled';
  }
  for (const [name, { link, publisher }] of brokers) {
    if (link.state === 'reconnecting') status = 'reconnecting';
    links[name] = {
      adapter: link.adapter.name,
      state: link.state,
      facts: link.facts,
      pending: publisher.pending,
      error: link.lastError?.message ?? null,
    };
    for (const [what, count] of publisher.dropped) dropped[what] = count;
  }
  return {
    status: closed ? 'closed' : status,
    brokers: links,
    subscriptions: [...subscriptions].map(({ topic, group, status: state, held, running, counts }) => ({
      topic,
      group,
      status: state,
      held,
      running,
      counts: { ...counts },
    })),
    dropped,
  };
}
