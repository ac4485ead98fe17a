import { randomUUID } from 'node:crypto';
import type {
  Adapter,
  AdapterSubscription,
  Delivery,
  Destination,
  OutgoingMessage,
  ProvisionSpec,
  SubscriptionSpec,
} from '@waybill/core/adapter';

export const never: AbortSignal = new AbortController().signal;

const run = randomUUID().slice(0, 6);
let names = 0;

export function topic(partitions: number | null = null): Destination {
  const name = `t${++names}-${run}`;
  return { kind: 'topic', name, topic: name, group: null, partitions, ordered: partitions !== null, address: null };
}

export const inboxOf = (destination: Destination, group = 'g'): Destination => ({
  ...destination,
  kind: 'inbox',
  name: `${destination.name}__${group}__retry`,
  group,
});

export const specOf = (destination: Destination, topology: ProvisionSpec['topology'] = 'create'): ProvisionSpec => ({
  topology,
  destination,
  retention: null,
  groups: [{ group: 'g', address: null, start: 'held', inbox: inboxOf(destination) }],
});

export async function provisioned(by: Adapter, partitions: number | null = null): Promise<Destination> {
  const destination = topic(partitions);
  await by.provision(specOf(destination), never);
  return destination;
}

export function consume(
  by: Adapter,
  destination: Destination,
  spec: Partial<SubscriptionSpec> = {},
): Promise<AdapterSubscription> {
  return by.subscribe(
    {
      destination,
      group: 'g',
      groupAddress: null,
      inbox: inboxOf(destination),
      consumer: 'c',
      prefetch: 100,
      suspect: 3,
      lease: 60_000,
      start: 'held',
      bounded: false,
      filter: null,
      transactional: false,
      onRevoked: () => Promise.resolve(),
      onLost: () => undefined,
      onAssigned: () => undefined,
      ...spec,
    },
    never,
  );
}

/** Receives until there are so many. */
export async function gather(from: AdapterSubscription, count: number, ms = 20_000): Promise<Delivery[]> {
  const found: Delivery[] = [];
  const end = performance.now() + ms;
  while (found.length < count) {
    if (performance.now() > end) throw new Error(`${found.length} of ${count} came`);
    found.push(...(await from.receive(count - found.length, never)));
  }
  return found;
}

export function message(values: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const id = randomUUID();
  return {
    id,
    sendId: id,
    time: Date.now(),
    key: null,
    type: null,
    source: null,
    contentType: null,
    headers: {},
    control: null,
    body: Buffer.from('body'),
    partition: null,
    delay: 0,
    ...values,
  };
}

export const messages = (count: number): OutgoingMessage[] => Array.from({ length: count }, () => message());
export const idsOf = (deliveries: readonly { readonly id: string }[]): string[] => deliveries.map(({ id }) => id);
