import { totalUpperBound } from './backoff.ts';
import type { ResolvedTopic } from './config-types.ts';
import { formatDuration } from './duration.ts';
import { WaybillError } from './errors.ts';
import type { Plan } from './plan.ts';
import { capability, type CapabilityPath, type Supports } from './supports.ts';
import type { Topic } from './topic.ts';

/*
 * The start-up negotiation: what a topic or subscription needs, against what an adapter's manifest says. Pure. What is
 * not listed here is kept by core on every broker, or judged where it is asked for: a delayed publish at `publish`.
 */

/** Something asked for that not every broker keeps. */
export interface Need {
  /** Where in the manifest the answer stands. */
  readonly path: CapabilityPath | 'settle' | 'receive.credit' | 'order.key.partitions';
  /** Who asks, for what, and how to do without. */
  readonly why: string;
  met(supports: Supports): boolean;
}

/** The needs that a broker does not meet. */
export function unmet(needs: readonly Need[], supports: Supports): Need[] {
  return needs.filter((need) => !need.met(supports));
}

/**
 * One error that lists every unmet need, and for each the known brokers that meet it.
 *
 * @param where Who is refused: `topic 'orders'`, `subscription 'orders/inventory'`.
 * @param manifests Of the installed adapters, by URL scheme.
 */
export function refusal(
  where: string,
  needs: readonly Need[],
  adapterName: string,
  manifests: Readonly<Record<string, Supports>>,
): WaybillError {
  const lines = needs.map((need) => {
    const schemes = Object.keys(manifests).filter((scheme) => need.met(manifests[scheme] as Supports));
    const who = schemes.length === 0 ? 'no installed broker meets it' : `met by ${schemes.join(', ')}`;
    return `  - ${need.path}: ${need.why} (${who})`;
  });
  return new WaybillError('unsupported', `${where} asks for what ${adapterName} does not keep:\n${lines.join('\n')}`);
}

/** What publishing to a topic needs, whoever subscribes to it. */
export function topicNeeds(topic: Pick<Topic<never>, 'name' | 'ordered'>, config: ResolvedTopic): Need[] {
  const { partitions, retention, groups } = config;
  const needs: Need[] = orderNeeds(topic);
  if (partitions !== null && !topic.ordered) {
    needs.push({
      path: 'order.key.partitions',
      why: `topics.${topic.name}.partitions is ${partitions}, but only ordered topics have partitions; give the topic a key, or leave it out`,
      met: () => false,
    });
  }
  if (retention !== null) {
    const why = `topics.${topic.name}.retention is ${formatDuration(retention)}, so settled messages must be kept; or leave it out`;
    needs.push(plain('deliver.retention', why));
  }
  if (groups.length > 1)
    needs.push(plain('deliver.fanout', `topic '${topic.name}' has ${groups.length} groups, and each must get all`));
  return needs;
}

/**
 * What a subscription needs.
 *
 * @param partitions The topic's partition count, or null where it has none.
 */
export function subscriptionNeeds(
  topic: Pick<Topic<never>, 'name' | 'ordered'>,
  plan: Plan,
  partitions: number | null,
): Need[] {
  return [
    ...orderNeeds(topic),
    ...startNeeds(plan),
    ...settleNeeds(plan),
    ...retryNeeds(plan),
    ...deadLetterNeeds(plan),
    ...transactionNeeds(plan),
    ...creditNeeds(plan, partitions),
  ];
}

function orderNeeds(topic: Pick<Topic<never>, 'name' | 'ordered'>): Need[] {
  if (!topic.ordered) return [];
  return [plain('order.key', `topic '${topic.name}' has a key, so it needs order per key; or say ordering: 'none'`)];
}

function startNeeds({ start, filter }: Plan): Need[] {
  const needs: Need[] = [];
  if (start !== 'held' && start !== 'latest') {
    const shown = start === 'earliest' ? "'earliest'" : 'time' in start ? 'a time' : 'a position';
    needs.push(
      plain(
        'deliver.replay',
        `start is ${shown}, which reads what others have settled; or start at 'held' or 'latest'`,
      ),
    );
  }
  if (filter !== null) needs.push(plain('deliver.filter', 'filter is given; or test in the handler'));
  return needs;
}

function settleNeeds(plan: Plan): Need[] {
  const needs: Need[] = [];
  if (plan.atMostOnce && plan.idempotent === null) {
    needs.push({
      path: 'deliver.atMostOnce',
      why: "delivery is 'at-most-once', so a settled message must be known to be settled and never come again; or give an idempotent store",
      met: ({ deliver, settle }) =>
        deliver.atMostOnce.by !== 'refused' && settle.confirmed && settle.repeats === 'never',
    });
  }
  if (plan.onExpired === 'drop') needs.push(plain('deliver.expiry', "onExpired is 'drop'; or leave it out"));
  if (plan.maxDeliveries !== defaultMaxDeliveries(plan)) {
    needs.push(
      plain(
        'settle.deliveryCount',
        `maxDeliveries is ${plan.maxDeliveries}, so arrivals must be counted; or leave it out`,
      ),
    );
  }
  return needs;
}

function retryNeeds(plan: Plan): Need[] {
  const needs: Need[] = [];
  const { ordered, retryMode: mode } = plan;
  if (mode === 'requeue' && ordered) {
    const why =
      "retry.mode is 'requeue', but a requeued message is overtaken by those of its key; use 'in-place', or ordering: 'none'";
    needs.push({ path: 'order.key', why, met: () => false });
  } else if (mode === 'requeue') {
    needs.push(plain('requeue', "retry.mode is 'requeue', so copies must come later; or use 'in-place'"));
  }

  const perRun = plan.timeout ?? 0;
  const inPlace = totalUpperBound(plan.backoff, plan.attempts) + plan.attempts * perRun;
  const always = ordered || mode === 'in-place';
  const advice = 'use fewer attempts, a shorter backoff or a shorter timeout';
  const what = perRun === 0 ? 'backoffs' : 'backoffs and handler timeouts';
  if (always || mode === null) {
    needs.push({
      path: 'lease',
      why: `${plan.attempts} attempts in place may hold a message for ${formatDuration(inPlace)} (${what} together); ${advice}`,
      met: (supports) => (!always && supports.requeue.by !== 'refused') || holds(supports, inPlace),
    });
  }
  if (plan.timeout !== null && !always) {
    needs.push({
      path: 'lease',
      why: `timeout is ${formatDuration(plan.timeout)}, and a message must be held that long; use a shorter timeout`,
      met: (supports) => holds(supports, perRun),
    });
  }
  return needs;
}

function deadLetterNeeds({ deadLetter, ordered }: Plan): Need[] {
  if (deadLetter !== 'key') return [];
  if (ordered)
    return [plain('order.parkedKeys', "deadLetter is 'key', so keys must be parked durably; or say deadLetter: true")];
  return [
    {
      path: 'order.parkedKeys',
      why: "deadLetter is 'key', but the topic has no order to keep; say deadLetter: true",
      met: () => false,
    },
  ];
}

function transactionNeeds({ transactional }: Plan): Need[] {
  if (!transactional) return [];
  return [
    plain(
      'transactions',
      'transactional is true, so results and acks must be stored as one; or leave it out, publish with an id made from the message, and have the readers of the results say idempotent',
    ),
  ];
}

function creditNeeds({ prefetch, prefetchChosen }: Plan, partitions: number | null): Need[] {
  if (!prefetchChosen || partitions === null || prefetch >= partitions) return [];
  return [
    {
      path: 'receive.credit',
      why: `prefetch is ${prefetch}, less than the ${partitions} partitions, each of which needs at least one; use ${partitions} or more, or leave it out`,
      met: ({ receive }) => receive.credit !== 'partition',
    },
  ];
}

/** The broker holds an unsettled message for that long. */
function holds({ lease }: Supports, ms: number): boolean {
  return lease.max === null || ms <= lease.max;
}

function defaultMaxDeliveries({ attempts }: Plan): number {
  return Math.max(3 * attempts, 10);
}

function plain(path: CapabilityPath, why: string): Need {
  return { path, why, met: (supports) => capability(supports, path).by !== 'refused' };
}
