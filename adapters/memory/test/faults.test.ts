import { expect, test } from 'vitest';
import { memory } from '../src/index.ts';
import { at, Bench, message, receipts, signal, texts, topic, turns } from './support.ts';

const fill = (count: number) => Array.from({ length: count }, (_, n) => message(`${n}`));
const isLost = (error: unknown): boolean => memory().classify(error) === 'disconnected';

test('after a cut the receive rejects, what was held is there for others, and the adapter connects again', async () => {
  for (const partitions of [null, 2]) {
    const bench = new Bench();
    const { adapter, orders, g } = await bench.one(partitions);
    const other = await bench.subscribe(await bench.adapter(), orders, { consumer: '2' });
    await adapter.publish(
      orders,
      [0, 1].map((n) => message(`${n}`, { key: 'k', partition: partitions && n })),
      signal,
    );
    const held = await bench.take(g);
    const waiting = g.receive(1, signal);
    bench.broker.faults.cut(adapter);
    await expect(waiting).rejects.toSatisfy(isLost);
    await expect(g.ack(receipts(held))).rejects.toSatisfy(isLost);
    await expect(adapter.publish(orders, fill(1), signal)).rejects.toSatisfy(isLost);
    if (partitions !== null) expect(g.lost.flat()).toEqual(held.map(({ partition }) => partition));
    await turns();
    expect(texts(await bench.take(other)).toSorted()).toEqual(['0', '1']);
    await adapter.connect(signal);
    await bench.subscribe(adapter, orders);
    expect(
      (await adapter.publish(orders, [message('', { key: 'k', partition: partitions && 0 })], signal))[0]?.status,
    ).toBe('confirmed');
  }
});

test('a publish under way when the connection is cut ends unknown, and is stored', async () => {
  const bench = new Bench();
  const { adapter, orders } = await bench.one();
  bench.broker.faults.slow(100);
  const publishing = adapter.publish(orders, fill(2), signal);
  await bench.clock.pass(60);
  bench.broker.faults.cut(adapter);
  const outcomes = await publishing;
  expect(outcomes.map(({ status }) => status)).toEqual(['unknown', 'unknown']);
  bench.broker.faults.clear();
  await adapter.connect(signal);
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 2 });
});

test('what a killed consumer held comes again within the declared bound, not before', async () => {
  for (const partitions of [null, 2]) {
    const bench = new Bench({ session: 3_000 });
    const { adapter, orders, g } = await bench.one(partitions);
    await adapter.publish(
      orders,
      [0, 1].map((n) => message(`${n}`, { key: 'k', partition: partitions && n })),
      signal,
    );
    const held = await bench.take(g);
    const watcher = await bench.adapter();
    bench.broker.faults.kill(adapter);
    await expect(adapter.connect(signal)).rejects.toSatisfy(isLost);
    await expect(g.ack(receipts(held))).rejects.toSatisfy(isLost);
    const heir = await bench.subscribe(watcher, orders, { consumer: 'heir' });
    expect(await bench.take(heir)).toEqual([]);
    await adapter.close();
    await bench.clock.pass(1_900);
    expect(await bench.take(heir)).toHaveLength(2);
    expect(g.lost).toEqual([]);
    expect(adapter.supports.deliver.redelivery.bound).toBeGreaterThanOrEqual(3_000);
  }
});

test('a restart drops every connection and keeps what was confirmed', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(1);
  await adapter.publish(
    orders,
    [0, 1].map((n) => message(`${n}`, { key: 'k', partition: 0 })),
    signal,
  );
  const [first] = await bench.take(g, 1);
  await g.ack([first?.receipt]);
  bench.broker.faults.restart();
  await expect(g.receive(1, signal)).rejects.toSatisfy(isLost);
  await adapter.connect(signal);
  const next = await bench.subscribe(adapter, orders);
  const got = await bench.take(next);
  expect(texts(got)).toEqual(['1']);
  expect(got[0]?.fence).toBeGreaterThan(first?.fence ?? Number.NaN);
});

test('connects are refused for as long as was said', async () => {
  const bench = new Bench();
  const adapter = memory({ broker: bench.broker });
  bench.broker.faults.refuseConnects(1_000);
  await expect(adapter.connect(signal)).rejects.toSatisfy(isLost);
  await bench.clock.pass(1_000);
  await adapter.connect(signal);
});

test('publishes can end unknown or rejected: the next few, or a share by a seed', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const { faults } = bench.broker;
  faults.unknownPublish({ next: 1 }, true);
  faults.unknownPublish({ next: 1 }, false);
  faults.rejectPublish({ next: 1 }, 'denied');
  const sent = fill(4);
  const outcomes = await adapter.publish(orders, sent, signal);
  expect(outcomes.map(({ status }) => status)).toEqual(['unknown', 'unknown', 'rejected', 'confirmed']);
  const again = await adapter.publish(orders, sent, signal);
  expect(new Set(again.map(({ status }) => status))).toEqual(new Set(['confirmed']));
  expect(texts(await bench.take(g)).toSorted()).toEqual(['0', '1', '2', '3']);
  const share = async (): Promise<string[]> => {
    faults.clear();
    faults.rejectPublish({ probability: 0.3, seed: 7 }, 'throttled');
    return (await adapter.publish(orders, fill(200), signal)).map(({ status }) => status);
  };
  const first = await share();
  expect(first.filter((status) => status === 'rejected').length).toBeGreaterThan(30);
  expect(await share()).toEqual(first);
});

test('deliveries can come twice, out of order, or lose their lease', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const { faults } = bench.broker;
  faults.duplicate(2);
  await adapter.publish(orders, fill(3), signal);
  const first = await bench.take(g);
  const second = await bench.take(g);
  expect([texts(first), texts(second)]).toEqual([
    ['0', '1', '2'],
    ['0', '1'],
  ]);
  expect(await g.ack(receipts(first))).toEqual(['lost', 'lost', 'ok']);
  expect([faults.loseLease(at(first, 2)), faults.loseLease(at(second, 0))]).toEqual([false, true]);
  expect(texts(await bench.take(g))).toEqual(['0']);
  faults.reorder(1);
  await adapter.publish(orders, fill(20), signal);
  const mixed = texts(await bench.take(g));
  expect(mixed).not.toEqual(fill(20).map((_, n) => `${n}`));
  expect(mixed).toHaveLength(20);
});

test('a stalled broker answers no publish and no settle until it goes on; aborting ends the wait', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, fill(1), signal);
  const held = await bench.take(g);
  bench.broker.faults.stall('publish', 'receive', 'settle');
  const acking = g.ack(receipts(held));
  const publishing = adapter.publish(orders, fill(1), signal);
  const aborter = new AbortController();
  const aborted = adapter.publish(orders, fill(1), aborter.signal);
  aborter.abort();
  await expect(aborted).rejects.toSatisfy((error) => adapter.classify(error) === 'timeout');
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 1 });
  expect(await bench.take(g)).toEqual([]);
  bench.broker.faults.resume();
  expect(await acking).toEqual(['ok']);
  expect(await publishing).toMatchObject([{ status: 'confirmed' }]);
  expect(await bench.take(g)).toHaveLength(1);
});

test('closing while everything stands still ends at once and leaves no timer', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(4);
  await adapter.publish(orders, [message('', { key: 'k', partition: 1 })], signal);
  await bench.take(g);
  bench.broker.faults.stall('publish', 'receive', 'settle');
  const acking = g.ack([]);
  const waiting = g.receive(1, signal);
  await adapter.close();
  await adapter.close();
  await expect(acking).rejects.toSatisfy((error) => adapter.classify(error) === 'closed');
  expect(await waiting).toEqual([]);
  await turns();
  expect(bench.clock.pending).toBe(0);
  await expect(adapter.connect(signal)).rejects.toSatisfy((error) => adapter.classify(error) === 'closed');
  await expect(adapter.publish(topic('orders', 4), [], signal)).rejects.toSatisfy(
    (error) => adapter.classify(error) === 'closed',
  );
});
