import { randomBytes } from 'node:crypto';
import type {
  Adapter,
  AdapterSubscription,
  Delivery,
  Destination,
  OutgoingMessage,
  SubscriptionSpec,
} from '@waybill/core/adapter';

/** Every topic of this run begins with this, and nothing else is ever touched. */
export const run: string = `wbtest-${randomBytes(6).toString('hex')}-`;
export const never: AbortSignal = new AbortController().signal;

let names = 0;
export function topic(partitions: number | null = null): Destination {
  const name = `${run}${++names}`;
  const ordered = partitions !== null;
  return { kind: 'topic', name, topic: name, group: null, partitions, ordered, address: null };
}

export function inboxOf({ name, partitions, ordered }: Destination, group = 'g'): Destination {
  return { kind: 'inbox', name: `${name}__${group}__retry`, topic: name, group, partitions, ordered, address: null };
}

let ids = 0;
export function message(over: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const id = over.id ?? `m${++ids}`;
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

/** A topic with its groups, each with an inbox. */
export async function provisioned(
  on: Adapter,
  destination: Destination = topic(),
  groups: readonly string[] = ['g'],
): Promise<Destination> {
  const all = groups.map((group) => ({
    group,
    address: null,
    start: 'held' as const,
    inbox: inboxOf(destination, group),
  }));
  await on.provision({ topology: 'create', destination, retention: null, groups: all }, never);
  return destination;
}

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
      lease: 1_500,
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

/** Receives until so many have come, or until the deadline. */
export async function gather(from: AdapterSubscription, count: number, ms = 15_000): Promise<Delivery[]> {
  const got: Delivery[] = [];
  const deadline = Date.now() + ms;
  while (got.length < count && Date.now() < deadline) got.push(...(await from.receive(count - got.length, never)));
  return got;
}

/** Waits for a condition, never for a time. */
export async function until(condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('the condition did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const idsOf = (deliveries: readonly { id: string }[]): string[] => deliveries.map(({ id }) => id);
