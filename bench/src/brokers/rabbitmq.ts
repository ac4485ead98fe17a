import { randomUUID } from 'node:crypto';
import { describeNotRun, isNotRun, startBroker } from '@waybill/testbed';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import type { BenchBroker, BenchClient, Source } from '../bench-client.ts';
import type { Order } from '../payloads.ts';

export const rabbitmq: BenchBroker = {
  name: 'rabbitmq',
  against: 'amqplib: persistent, 1,000 unconfirmed at most; prefetch 1,000, one ack for each 100; quorum queues',
  start: async () => {
    const broker = await startBroker('rabbitmq');
    if (isNotRun(broker)) return { missing: describeNotRun(broker) };
    return {
      version: broker.version,
      url: broker.url,
      raw: async (style) => rawRabbitmq(await connect(broker.url, { noDelay: true }), style),
      stop: async () => broker[Symbol.asyncDispose](),
    };
  },
};

function rawRabbitmq(connection: ChannelModel, style: 'best' | 'naive'): BenchClient {
  const { window, prefetch, ackEvery } =
    style === 'best' ? { window: 1_000, prefetch: 1_000, ackEvery: 100 } : { window: 1, prefetch: 1, ackEvery: 1 };
  let publishing: Promise<ConfirmChannel> | null = null;
  return {
    create: async (topic) => {
      const channel = await connection.createChannel();
      await channel.assertExchange(topic, 'topic');
      await channel.assertQueue(topic, { arguments: { 'x-queue-type': 'quorum' } });
      await channel.bindQueue(topic, topic, '#');
      await channel.close();
    },
    publish: async (topic, source) => {
      const channel = await (publishing ??= connection.createConfirmChannel());
      const send = (order: Order): Promise<void> =>
        new Promise((resolve, reject) => {
          const properties = {
            persistent: true,
            mandatory: true,
            messageId: randomUUID(),
            contentType: 'application/json',
          };
          channel.publish(topic, '-', Buffer.from(JSON.stringify(order)), properties, (error: Error | null) =>
            error === null ? resolve() : reject(error),
          );
        });
      await Promise.all(Array.from({ length: Math.max(1, window / 100) }, () => publisher(source, window, send)));
    },
    consume: async (topic, handle) => {
      const channel = await connection.createChannel();
      await channel.prefetch(prefetch);
      let handled = 0;
      const { consumerTag } = await channel.consume(topic, (message) => {
        if (message === null) throw new Error('the queue is gone');
        if (message.properties.messageId === undefined) throw new Error('a message has no id');
        handle(JSON.parse(message.content.toString()) as Order);
        if (++handled % ackEvery === 0) channel.ack(message, true);
      });
      return async () => {
        if (handled % ackEvery !== 0) channel.ackAll();
        await channel.cancel(consumerTag);
        await channel.close();
      };
    },
    close: () => connection.close(),
  };
}

/** One of several, each with its part of the window. */
async function publisher(source: Source, window: number, send: (order: Order) => Promise<void>): Promise<void> {
  const part = Math.min(100, window);
  for (let orders = await source(part); orders.length > 0; orders = await source(part))
    await Promise.all(orders.map(send));
}
