import { randomUUID } from 'node:crypto';
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { describeNotRun, isNotRun, startBroker } from '@waybill/testbed';
import type { BenchBroker, BenchClient, Source } from '../bench-client.ts';
import type { Order } from '../payloads.ts';

export const sqs: BenchBroker = benchOf('sqs');
export const sqsFifo: BenchBroker = benchOf('sqs-fifo');

const MOST = 10;
/** Of FIFO queues. Ten fill a request, and eight requests are under way. */
const KEYS = 200;

function benchOf(name: 'sqs' | 'sqs-fifo'): BenchBroker {
  const fifo = name === 'sqs-fifo';
  return {
    name,
    against: `AWS SDK: batches of 10${fifo ? ', a message of a key in each' : ''}, 8 sends and 8 receives under way, a delete for each receive; on an emulator`,
    start: async () => {
      const broker = await startBroker(name);
      if (isNotRun(broker)) return { missing: describeNotRun(broker) };
      return {
        version: broker.version,
        url: broker.url,
        ...(fifo && { keys: KEYS, options: { pollWait: '0s' } }), // the emulator turns in circles where a poll waits
        raw: async (style) => rawSqs(broker.endpoint, style, fifo),
        stop: async () => broker[Symbol.asyncDispose](),
      };
    },
  };
}

function rawSqs(endpoint: string, style: 'best' | 'naive', fifo: boolean): BenchClient {
  const { batch, inFlight } = style === 'best' ? { batch: MOST, inFlight: 8 } : { batch: 1, inFlight: 1 };
  const client = new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
    useQueueUrlAsEndpoint: false,
    maxAttempts: 1,
  });
  const urls = new Map<string, string>();
  const urlOf = (topic: string): string => urls.get(topic) ?? '';
  const attributes = (): { readonly id: { readonly DataType: string; readonly StringValue: string } } => ({
    id: { DataType: 'String', StringValue: randomUUID() },
  });

  const publisher = async (topic: string, source: Source): Promise<void> => {
    const QueueUrl = urlOf(topic);
    for (let orders = await source(batch); orders.length > 0; orders = await source(batch)) {
      const entries = orders.map((order, index) => ({
        Id: String(index),
        MessageBody: JSON.stringify(order),
        MessageAttributes: attributes(),
        ...(fifo && { MessageGroupId: `k${order.version % KEYS}`, MessageDeduplicationId: randomUUID() }),
      }));
      if (style === 'naive') {
        for (const { Id: _, ...entry } of entries) await client.send(new SendMessageCommand({ QueueUrl, ...entry }));
        continue;
      }
      const { Failed } = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries: entries }));
      if (Failed !== undefined && Failed.length > 0) throw new Error(Failed[0]?.Message);
    }
  };

  const settle = async (QueueUrl: string, messages: readonly Message[]): Promise<void> => {
    if (style === 'naive') {
      for (const { ReceiptHandle } of messages)
        await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      return;
    }
    const Entries = messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  };

  return {
    create: async (topic) => {
      const { QueueUrl } = await client.send(
        new CreateQueueCommand(
          fifo ? { QueueName: `${topic}.fifo`, Attributes: { FifoQueue: 'true' } } : { QueueName: topic },
        ),
      );
      urls.set(topic, QueueUrl ?? '');
    },
    publish: async (topic, source) => {
      await Promise.all(Array.from({ length: inFlight }, () => publisher(topic, source)));
    },
    consume: async (topic, handle) => {
      const QueueUrl = urlOf(topic);
      let stopped = false;
      const reader = async (): Promise<void> => {
        while (!stopped) {
          const { Messages } = await client.send(
            new ReceiveMessageCommand({
              QueueUrl,
              MaxNumberOfMessages: batch,
              WaitTimeSeconds: fifo ? 0 : 1,
              MessageSystemAttributeNames: ['All'],
              MessageAttributeNames: ['All'],
            }),
          );
          if (Messages === undefined) continue;
          for (const { Body = '', MessageAttributes } of Messages) {
            if (MessageAttributes?.['id']?.StringValue === undefined) throw new Error('a message has no id');
            handle(JSON.parse(Body) as Order);
          }
          await settle(QueueUrl, Messages);
        }
      };
      const readers = Array.from({ length: inFlight }, reader);
      return async () => {
        stopped = true;
        await Promise.all(readers);
      };
    },
    close: async () => client.destroy(),
  };
}
