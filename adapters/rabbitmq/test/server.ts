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
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { describeNotRun, isNotRun, type RabbitmqBroker, startBroker } from '@waybill/testbed';
import { rabbitmq, type RabbitOptions } from '../src/index.ts';

const answer = await startBroker('rabbitmq');

/** The server: the one at WAYBILL_RABBITMQ_URL, or a private one. Or why there is none, and what to do about it. */
export const broker: RabbitmqBroker | null = isNotRun(answer) ? null : answer;
export const missing: string = isNotRun(answer) ? describeNotRun(answer) : '';
export const url: string = broker?.url ?? 'amqp://127.0.0.1:1';
export const never: AbortSignal = new AbortController().signal;

const open: Adapter[] = [];
let model: ChannelModel | null = null;

/** A channel of our own, to look at the server beside the adapter. */
export async function raw(): Promise<Channel> {
  model ??= await connect(url);
  model.on('error', () => undefined);
  const channel = await model.createChannel();
  return channel.on('error', () => undefined);
}

export async function adapter(options: RabbitOptions = {}): Promise<Adapter> {
  const made = rabbitmq({ url, heartbeat: '2s', ...options });
  open.push(made);
  await made.connect(never);
  return made;
}

export async function cleanUp(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await model?.close();
  await broker?.[Symbol.asyncDispose]();
}

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
