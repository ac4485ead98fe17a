import { randomUUID } from 'node:crypto';
import { describeNotRun, isNotRun, startBroker } from '@waybill/testbed';
import { Kafka, Partitioners, type Producer } from 'kafkajs';
import type { BenchBroker, BenchClient, Source } from '../bench-client.ts';
import type { Order } from '../payloads.ts';

const PARTITIONS = 6;

export const kafka: BenchBroker = {
  name: 'kafka',
  against:
    'kafkajs: acks all, 500 messages a send, two in flight, 6 partitions; eachBatch over all partitions at once, one commit for each batch',
  start: async () => {
    const broker = await startBroker('kafka', { fullSpeed: true });
    if (isNotRun(broker)) return { missing: describeNotRun(broker) };
    return {
      version: broker.version,
      url: broker.url,
      raw: async (style) => rawKafka(broker.plain, style),
      stop: async () => broker[Symbol.asyncDispose](),
    };
  },
};

async function rawKafka(address: string, style: 'best' | 'naive'): Promise<BenchClient> {
  const { messages, inFlight } = style === 'best' ? { messages: 500, inFlight: 2 } : { messages: 1, inFlight: 1 };
  const kafkajs = new Kafka({ brokers: [address], logCreator: () => () => undefined });
  const producer = kafkajs.producer({
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  return {
    create: async (topic) => {
      const admin = kafkajs.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }], waitForLeaders: true });
      await admin.disconnect();
    },
    publish: async (topic, source) => {
      await Promise.all(Array.from({ length: inFlight }, () => publisher(producer, topic, source, messages)));
    },
    consume: async (topic, handle) => {
      const consumer = kafkajs.consumer({ groupId: `${topic}-group`, maxWaitTimeInMs: 100, minBytes: 1 });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      const order = (headers: Readonly<Record<string, unknown>> | undefined, value: Buffer | null): void => {
        if (String(headers?.['id']) === '') throw new Error('a record has no id');
        handle(JSON.parse((value ?? '').toString()) as Order);
      };
      const commitOf = (partition: number, last: string) => [{ topic, partition, offset: String(Number(last) + 1) }];
      await consumer.run({
        autoCommit: false,
        partitionsConsumedConcurrently: PARTITIONS,
        ...(style === 'best'
          ? {
              eachBatch: async ({ batch, commitOffsetsIfNecessary }) => {
                for (const { headers, value } of batch.messages) order(headers, value);
                const partitions = commitOf(batch.partition, batch.lastOffset());
                await commitOffsetsIfNecessary({ topics: [{ topic, partitions }] });
              },
            }
          : {
              eachMessage: async ({ partition, message }) => {
                order(message.headers, message.value);
                await consumer.commitOffsets(commitOf(partition, message.offset));
              },
            }),
      });
      return () => consumer.disconnect();
    },
    close: () => producer.disconnect(),
  };
}

async function publisher(producer: Producer, topic: string, source: Source, most: number): Promise<void> {
  for (let orders = await source(most); orders.length > 0; orders = await source(most))
    await producer.send({
      topic,
      acks: -1,
      messages: orders.map((order) => ({
        value: Buffer.from(JSON.stringify(order)),
        headers: { id: randomUUID() },
      })),
    });
}
