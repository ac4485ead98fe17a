import { randomBytes } from 'node:crypto';
import type {
  Adapter,
  AdapterSubscription,
  Delivery,
  Destination,
  OutgoingMessage,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import { describeNotRun, isNotRun, type KafkaBroker, startBroker } from '@waybill/testbed';
import { type Admin, Kafka, Partitioners, type Producer } from 'kafkajs';
import { kafka, type KafkaOptions } from '../src/index.ts';

const answer = await startBroker('kafka');

/** The broker: the one at WAYBILL_KAFKA_URL, or a private one. Or why there is none, and what to do about it. */
export const broker: KafkaBroker | null = isNotRun(answer) ? null : answer;
export const missing: string = isNotRun(answer) ? describeNotRun(answer) : '';
export const url: string = broker?.url ?? 'kafka://127.0.0.1:1';

/** Every topic of this run begins with this, and nothing else is ever touched. */
const run = `wbtest-${randomBytes(6).toString('hex')}-`;
export const never: AbortSignal = new AbortController().signal;

/** kafkajs itself, to do what strangers do. */
export const raw: Kafka = new Kafka({
  clientId: 'stranger',
  brokers: [broker?.plain ?? '127.0.0.1:1'],
  logCreator: () => () => undefined,
});
export const admin: Admin = raw.admin();
export const producer: Producer = raw.producer({
  allowAutoTopicCreation: false,
  createPartitioner: Partitioners.DefaultPartitioner,
});

const open: Adapter[] = [];

/** Short sessions, so that what is lost comes back while somebody is looking. */
export async function adapter(options: KafkaOptions = {}): Promise<Adapter> {
  const made = kafka({ url, lease: 1_500, timeout: '3s', partitions: 2, ...options });
  open.push(made);
  await made.connect(never);
  return made;
}

export async function begin(): Promise<void> {
  await admin.connect();
  await producer.connect();
}

export async function cleanUp(): Promise<void> {
  await Promise.all(open.splice(0).map((one) => one.close()));
  const topics = (await admin.listTopics()).filter((name) => name.startsWith(run));
  if (topics.length > 0) await admin.deleteTopics({ topics });
  await Promise.all([admin.disconnect(), producer.disconnect()]);
  await broker?.[Symbol.asyncDispose]();
}

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

/** Removes the first records of partition 0. A client that has just heard of a topic may not know who leads it. */
export async function removeBefore({ name }: Destination, offset: string): Promise<void> {
  await until(() =>
    admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset }] }).then(
      () => true,
      () => false,
    ),
  );
}

/** What the group has committed, by partition; '-1' for nothing. */
export async function committed(destination: Destination, group = 'g'): Promise<Record<number, string>> {
  const topics = [destination.name];
  const [found] = await admin.fetchOffsets({ groupId: `${destination.name}__${group}`, topics });
  return Object.fromEntries((found?.partitions ?? []).map(({ partition, offset }) => [partition, offset]));
}

export const idsOf = (deliveries: readonly { id: string }[]): string[] => deliveries.map(({ id }) => id);
