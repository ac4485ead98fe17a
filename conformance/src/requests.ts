/**
 * What core asks of an adapter, for the tests that an adapter has beside the suite.
 *
 * @example
 * const orders = await provisioned(adapter);
 * await adapter.publish(orders, messages(3), never);
 * expect(await gather(await consume(adapter, orders), 3)).toHaveLength(3);
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import type {
  Adapter,
  AdapterSubscription,
  Delivery,
  Destination,
  OutgoingMessage,
  ProvisionSpec,
  Receipt,
  StartPosition,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import { setTimeout as sleep } from 'node:timers/promises';

/** Every topic of this process begins with this, so that nothing else is ever touched. */
export const run: string = `wbtest-${randomBytes(6).toString('hex')}-`;

const PATIENCE = 20_000;

/** For calls that nobody cuts short. */
export const never: AbortSignal = new AbortController().signal;

let names = 0;

/** A topic with a name of its own; with `partitions` an ordered one. */
export function topic(partitions: number | null = null): Destination {
  const name = `${run}${++names}`;
  const ordered = partitions !== null;
  return { kind: 'topic', name, topic: name, group: null, partitions, ordered, address: null };
}

export function inboxOf({ name, partitions, ordered }: Destination, group = 'g'): Destination {
  return { kind: 'inbox', name: `${name}__${group}__retry`, topic: name, group, partitions, ordered, address: null };
}

let ids = 0;

/** Its body is its id. */
export function message(over: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const id = over.id ?? `${run}m${++ids}`;
  return {
    id,
    time: Date.now(),
    key: null,
    type: null,
    source: null,
    contentType: null,
    headers: {},
    control: null,
    body: Buffer.from(id),
    sendId: id,
    partition: null,
    delay: 0,
    ...over,
  };
}

export const messages = (count: number, over: Partial<OutgoingMessage> = {}): OutgoingMessage[] =>
  Array.from({ length: count }, () => message(over));

export interface Provisioned {
  readonly groups?: readonly string[];
  readonly start?: StartPosition;
  readonly topology?: ProvisionSpec['topology'];
  readonly retention?: number | null;
}

/** A topic with its groups, by default `g`, each with an inbox. */
export function specOf(destination: Destination, over: Provisioned = {}): ProvisionSpec {
  const { groups = ['g'], start = 'held', topology = 'create', retention = null } = over;
  return {
    topology,
    destination,
    retention,
    groups: groups.map((group) => ({ group, address: null, start, inbox: inboxOf(destination, group) })),
  };
}

export async function provisioned(
  on: Adapter,
  destination: Destination = topic(),
  over: Provisioned = {},
): Promise<Destination> {
  await on.provision(specOf(destination, over), never);
  return destination;
}

/** A consumer of group `g`, with room for all that a test sends. */
export async function consume(
  on: Adapter,
  destination: Destination,
  over: Partial<SubscriptionSpec> = {},
): Promise<AdapterSubscription> {
  const group = over.group ?? 'g';
  return on.subscribe(
    {
      destination,
      group,
      groupAddress: null,
      inbox: inboxOf(destination, group),
      consumer: 'one',
      prefetch: 1_000,
      suspect: 3,
      lease: 30_000,
      start: 'held',
      bounded: false,
      filter: null,
      transactional: false,
      onRevoked: () => Promise.resolve(),
      onLost: () => undefined,
      onAssigned: () => undefined,
      ...over,
    },
    never,
  );
}

export interface Gathering {
  /** Milliseconds, after which what has come is returned: for a test that nothing more comes. Default: 20 s, then it throws. */
  readonly within?: number;
  /** Most that one receive asks for. Default: what is missing. */
  readonly max?: number;
}

/** Receives until `count` have come. */
export async function gather(
  from: AdapterSubscription,
  count: number,
  { within, max = Infinity }: Gathering = {},
): Promise<Delivery[]> {
  const got: Delivery[] = [];
  const end = performance.now() + (within ?? PATIENCE);
  while (got.length < count && performance.now() < end)
    got.push(...(await from.receive(Math.min(max, count - got.length), never)));
  if (got.length < count && within === undefined) throw new Error(`${got.length} of ${count} came`);
  return got;
}

/** Waits for a condition, never for a time. */
export async function until(condition: () => boolean | Promise<boolean>, within: number = PATIENCE): Promise<void> {
  const end = performance.now() + within;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not so within ${within} ms: ${condition.toString()}`);
    await sleep(20);
  }
}

export const idsOf = (deliveries: readonly { readonly id: string }[]): string[] => deliveries.map(({ id }) => id);

export const receiptsOf = (deliveries: readonly Delivery[]): Receipt[] => deliveries.map(({ receipt }) => receipt);
