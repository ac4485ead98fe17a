import { consume as join, never, run, until } from '@waybill/conformance/requests';
import type { Adapter, Destination } from '@waybill/core/adapter';
import { describeNotRun, isNotRun, type KafkaBroker, startBroker } from '@waybill/testbed';
import { type Admin, Kafka, Partitioners, type Producer } from 'kafkajs';
import { kafka, type KafkaOptions } from '../src/index.ts';

const answer = await startBroker('kafka');

/** The broker: the one at WAYBILL_KAFKA_URL, or a private one. Or why there is none, and what to do about it. */
export const broker: KafkaBroker | null = isNotRun(answer) ? null : answer;
export const missing: string = isNotRun(answer) ? describeNotRun(answer) : '';
const url: string = broker?.url ?? 'kafka://127.0.0.1:1';

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

/** Removes the first records of partition 0. A client that has just heard of a topic may not know who leads it. */
export async function removeBefore({ name }: Destination, offset: string): Promise<void> {
  await until(() =>
    admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset }] }).then(
      () => true,
      () => false,
    ),
  );
}

/** With a short session, too. */
export const consume: typeof join = (on, destination, over) => join(on, destination, { lease: 1_500, ...over });

/** What the group has committed, by partition; '-1' for nothing. */
export async function committed(destination: Destination, group = 'g'): Promise<Record<number, string>> {
  const topics = [destination.name];
  const [found] = await admin.fetchOffsets({ groupId: `${destination.name}__${group}`, topics });
  return Object.fromEntries((found?.partitions ?? []).map(({ partition, offset }) => [partition, offset]));
}
