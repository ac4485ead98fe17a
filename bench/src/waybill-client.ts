import { connect, topic, type Topic } from '@waybill/core';
import type { BenchClient, RunningBench } from './bench-client.ts';
import type { Order } from './payloads.ts';

/** How a program hands its orders to Waybill: each by a `publish` of its own, many at once, or by `publishMany`. */
export type Publishing = 'one' | 'many';

const PUBLISHERS = 512;
const MANY = 500;

/** The same work by Waybill, with its defaults but for how much it may hold. */
export async function waybillClient(
  name: string,
  { url, options = {}, keys }: RunningBench,
  publishing: Publishing = 'many',
): Promise<BenchClient> {
  const main = { url, [name.replace('-fifo', '')]: options }; // under the package's name
  const bus = await connect({ brokers: { main } });
  const ordering = keys === undefined ? {} : { key: ({ version }: Order) => `k${version % keys}` };
  const topics = new Map<string, Topic<Order>>();
  const topicOf = (called: string): Topic<Order> => {
    const known = topics.get(called) ?? topic<Order>(called, ordering);
    topics.set(called, known);
    return known;
  };
  return {
    create: async (called) => {
      const config = { brokers: { main }, topics: { [called]: { groups: ['group'] } } };
      const provisioning = await connect(config, { topics: [topicOf(called)] });
      await provisioning.close();
    },
    publish: async (called, source) => {
      const target = topicOf(called);
      const one = async (): Promise<void> => {
        for (let [order] = await source(1); order !== undefined; [order] = await source(1))
          await bus.publish(target, order);
      };
      const many = async (): Promise<void> => {
        for (let orders = await source(MANY); orders.length > 0; orders = await source(MANY)) {
          for (const result of await bus.publishMany(target, orders))
            if (result.status !== 'confirmed') throw result.error;
        }
      };
      const publishers = publishing === 'one' ? Array.from({ length: PUBLISHERS }, one) : [many(), many()];
      await Promise.all(publishers);
    },
    consume: async (called, handle) => {
      const subscription = await bus.subscribe(
        topicOf(called),
        { group: 'group', concurrency: 100, prefetch: 1_000 },
        ({ id, payload }) => {
          if (id === '') throw new Error('a message has no id');
          handle(payload);
        },
      );
      return () => subscription.close();
    },
    close: () => bus.close(),
  };
}
