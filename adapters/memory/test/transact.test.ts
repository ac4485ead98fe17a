import { connect, type HandlerContext, PublishError, topic } from '@waybill/core';
import { expect, test } from 'vitest';
import { memory, MemoryBroker } from '../src/index.ts';
import { Bench, message, receipts, signal, texts, topic as destination } from './support.ts';

const orders = topic<number>('orders');
const results = topic<number>('results');

test('all or nothing: a receipt that is lost, or a message that is refused, and nothing has happened', async () => {
  const bench = new Bench({ maxBodyBytes: 100 });
  const { adapter, orders: from, g } = await bench.one();
  const to = destination('results');
  await bench.provision(adapter, to, 'reader');
  const there = await bench.subscribe(adapter, to, { group: 'reader' });
  await adapter.publish(from, [message('a'), message('b')], signal);
  const deliveries = await bench.take(g);
  const [first, second] = receipts(deliveries);
  await g.nack?.([second], { delay: 0, failed: false, attempt: 0 });
  const outputs = [{ destination: to, message: message('result') }];
  expect(await g.transact?.(outputs, [first, second])).toEqual(['ok', 'lost']);
  const large = { destination: to, message: { ...message('large'), body: new Uint8Array(101) } };
  await expect(g.transact?.([...outputs, large], [first])).rejects.toThrow('100');
  expect(bench.broker.store(to).logs[0]?.entries.end).toBe(0);
  expect(await g.transact?.(outputs, [first])).toEqual(['ok']);
  expect(texts(await bench.take(there))).toEqual(['result']);
});

test('results on another broker are refused where they are published, and so is what comes after the handler', async () => {
  const other = topic<number>('elsewhere');
  const bus = await connect({
    brokers: { main: memory(), far: memory() },
    topics: { orders: { broker: 'main' }, results: { broker: 'main' }, elsewhere: { broker: 'far' } },
  });
  const errors: unknown[] = [];
  const read: number[] = [];
  await bus.subscribe(results, { group: 'reader' }, ({ payload }) => void read.push(payload));
  const late = new Promise<HandlerContext>((resolve) => {
    void bus.subscribe(orders, { group: 'g', transactional: true }, async ({ payload }, context) => {
      await context.publish(other, 1).catch((error: unknown) => errors.push(error));
      await context.publish(results, payload, { delay: -1 } as never).catch((error: unknown) => errors.push(error));
      void context.publish(results, payload); // not awaited, and all the same a part of it
      setImmediate(() => resolve(context));
    });
  });
  await bus.publish(orders, 7);
  const context = await late;
  await expect.poll(() => read).toEqual([7]);
  await context.publish(results, 8).catch((error: unknown) => errors.push(error));
  expect(errors.every((error) => error instanceof Error)).toBe(true);
  expect((errors[0] as PublishError).code).toBe('invalid');
  expect((errors[0] as PublishError).outcome).toBe('rejected');
  expect((errors[0] as Error).message).toMatch(/broker 'far'.*own broker 'main'/);
  expect((errors.at(-1) as Error).message).toMatch(/closed|after its handler/);
  await bus.close();
  expect(read).toEqual([7]);
});

test('middleware sees what a transactional handler publishes', async () => {
  const bus = await connect({ brokers: { main: memory({ broker: new MemoryBroker() }) } });
  const seen: string[] = [];
  bus.use({
    publish: async (call, next) => {
      const published = await next({ by: 'middleware' });
      seen.push(call.topic);
      return published;
    },
  });
  const found: unknown[] = [];
  await bus.subscribe(results, { group: 'reader' }, ({ headers }) => void found.push(headers['by']));
  await bus.subscribe(orders, { group: 'g', transactional: true }, ({ payload }, context) =>
    context.publish(results, payload),
  );
  await bus.publish(orders, 1);
  await expect.poll(() => found).toEqual(['middleware']);
  expect(seen).toEqual(['orders', 'results']);
  await bus.close();
});
