import { expect, test } from 'vitest';
import { at, Bench, inbox, keyed, message, receipts, signal, texts, topic, turns } from './support.ts';

const fill = (count: number) => Array.from({ length: count }, (_, n) => message(`${n}`));

test('a topic without a group keeps its messages for the groups to come', async () => {
  const bench = new Bench();
  const adapter = await bench.adapter();
  const orders = topic('orders');
  await bench.provision(adapter, orders);
  await adapter.publish(orders, fill(3), signal);
  expect(texts(await bench.take(await bench.subscribe(adapter, orders)))).toEqual(['0', '1', '2']);
});

test('a new group starts where it asks: held, earliest, latest, a time or a position', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, fill(2), signal);
  await g.ack(receipts(await bench.take(g)));
  await bench.clock.pass(1_000);
  const time = bench.clock.now();
  await adapter.publish(orders, [message('2'), message('3')], signal);
  const starts = {
    held: 'held',
    earliest: 'earliest',
    latest: 'latest',
    time: { time },
    position: { position: { 0: '3' } },
  } as const;
  const got: Record<string, string[]> = {};
  for (const [group, start] of Object.entries(starts)) {
    const member = await bench.subscribe(adapter, orders, { group, start });
    got[group] = texts(await bench.take(member));
  }
  expect(got).toEqual({
    held: ['0', '1', '2', '3'],
    earliest: ['0', '1', '2', '3'],
    latest: [],
    time: ['2', '3'],
    position: ['3'],
  });
  const bad = bench.subscribe(adapter, orders, { group: 'bad', start: { position: { 0: '-1' } } });
  await expect(bad).rejects.toSatisfy((error) => adapter.classify(error) === 'invalid');
});

test('a bounded subscription ends with what was stored when it began, and disturbs nobody', async () => {
  for (const partitions of [null, 3]) {
    const bench = new Bench();
    const { adapter, orders, g } = await bench.one(partitions);
    const some = ['a', 'b', 'c', 'd'].map((key) => (partitions === null ? message(key) : keyed(key, key, partitions)));
    await adapter.publish(orders, some, signal);
    await g.ack(receipts(await bench.take(g)));
    const replay = await bench.subscribe(adapter, orders, { group: 'again', start: 'earliest', bounded: true });
    await adapter.publish(orders, [partitions === null ? message('later') : keyed('later', 'a', partitions)], signal);
    expect(replay.ended).toBe(false);
    const held = await bench.take(replay);
    expect(texts(held).toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect(replay.ended).toBe(true);
    await replay.nack?.(receipts(held.slice(0, 1)), { delay: 0, failed: false, attempt: 1 });
    expect(replay.ended).toBe(false);
    await replay.ack(receipts(await bench.take(replay)));
    expect([replay.ended, await bench.take(replay)]).toEqual([true, []]);
    await replay.close();
    await expect(adapter.lag?.(orders, 'again', null)).rejects.toSatisfy(
      (error) => adapter.classify(error) === 'not-found',
    );
    expect(texts(await bench.take(g))).toEqual(['later']);
  }
});

test('a replay that loses its connection goes on where it was', async () => {
  const bench = new Bench();
  const { adapter, orders } = await bench.one();
  await adapter.publish(orders, fill(4), signal);
  const spec = { group: 'again', start: 'earliest', bounded: true } as const;
  const first = await bench.subscribe(adapter, orders, spec);
  await first.ack(receipts(await bench.take(first, 2)));
  bench.broker.faults.cut(adapter);
  await adapter.connect(signal);
  await bench.clock.pass(30_000);
  const second = await bench.subscribe(adapter, orders, spec);
  expect(texts(await bench.take(second))).toEqual(['2', '3']);
  bench.broker.faults.cut(adapter);
  await adapter.connect(signal);
  await bench.clock.pass(60_000);
  await expect(adapter.lag?.(orders, 'again', null)).rejects.toSatisfy(
    (error) => adapter.classify(error) === 'not-found',
  );
});

test('settled messages stay within the limits of the broker, unsettled ones whatever the limits', async () => {
  const bench = new Bench({ retain: { messages: 3 } });
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, fill(10), signal);
  expect(await adapter.oldest?.(orders)).toBe(0);
  const held = await bench.take(g);
  await g.ack(receipts(held.slice(0, 8)));
  expect(texts((await adapter.browse?.(orders, null, 100)) ?? [])).toEqual(['5', '6', '7', '8', '9']);
  expect(await adapter.oldest?.(orders)).toBeGreaterThan(0);
  const copies = inbox(orders, 'g');
  await adapter.publish(copies, fill(4), signal);
  await g.ack(receipts(await bench.take(g)));
  expect(await adapter.browse?.(copies, null, 100)).toEqual([]);
});

test('a topic with a retention keeps each message so long from when it was settled', async () => {
  const bench = new Bench({ retain: { messages: 0 } });
  const adapter = await bench.adapter();
  const orders = topic('orders');
  const spec = { topology: 'create', destination: orders, retention: 60_000, groups: [] } as const;
  await adapter.provision({ ...spec, groups: [{ group: 'g', address: null, start: 'held', inbox: null }] }, signal);
  const g = await bench.subscribe(adapter, orders);
  await adapter.publish(orders, fill(3), signal);
  const held = await bench.take(g);
  await bench.clock.pass(20_000);
  await g.ack(receipts(held.slice(0, 1)));
  const left = async (): Promise<string[]> => texts((await adapter.browse?.(orders, null, 100)) ?? []);
  await bench.clock.pass(59_999);
  expect(await left()).toEqual(['0', '1', '2']);
  await bench.clock.pass(2_000); // and one fiftieth of the retention, the coarseness of its clock
  expect(await left()).toEqual(['1', '2']);
  await expect(adapter.provision({ ...spec, topology: 'verify', retention: 1 }, signal)).rejects.toThrow(
    /retention 60000, not 1/,
  );
});

test('with a highest age even unsettled messages are given up, and nothing else', async () => {
  const bench = new Bench({ maxAge: 5_000, retain: { messages: 0 } });
  const { adapter, orders, g } = await bench.one();
  expect(adapter.supports.deliver.unsettled.maxAge).toBe(5_000);
  await adapter.publish(orders, fill(2), signal);
  const [held] = await bench.take(g, 1);
  await bench.clock.pass(4_000);
  await adapter.publish(orders, [message('young')], signal);
  await bench.clock.pass(1_002);
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 1 });
  expect(await g.ack([held?.receipt])).toEqual(['lost']);
  expect(texts(await bench.take(g))).toEqual(['young']);
});

test('lag counts what is not settled, and tells the age of the oldest', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, fill(2), signal);
  await bench.clock.pass(700);
  await adapter.publish(orders, fill(2), signal);
  const held = await bench.take(g, 3);
  const { time } = bench.clock;
  expect(await adapter.lag?.(orders, 'g', null)).toEqual({ count: 4, age: 700, exact: true });
  await g.ack(receipts(held.slice(1)));
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 2, age: 700 });
  await g.ack(receipts(held.slice(0, 1)));
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 1, age: bench.clock.time - time });
});

test('a stopped group can be moved, a running one not; a running subscription moves itself', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, fill(4), signal);
  const held = await bench.take(g);
  await g.ack(receipts(held.slice(0, 3)));
  await expect(adapter.reset?.(orders, 'g', null, 'earliest')).rejects.toSatisfy(
    (error) => adapter.classify(error) === 'invalid',
  );
  await g.seek?.({ position: { 0: '2' } });
  expect(await g.ack(receipts(held.slice(3)))).toEqual(['lost']);
  expect(texts(await bench.take(g))).toEqual(['2', '3']);
  await g.close();
  await adapter.reset?.(orders, 'g', null, { position: { 0: '1' } });
  const next = await bench.subscribe(adapter, orders);
  expect(await bench.take(next)).toMatchObject([{ position: { 0: '1' }, deliveryCount: 1 }, {}, {}]);
});

test('browse takes nothing and goes on from a position, partition after partition', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(3);
  await adapter.publish(
    orders,
    Array.from({ length: 9 }, (_, n) => message(`${n}`, { key: 'k', partition: n % 3 })),
    signal,
  );
  const first = (await adapter.browse?.(orders, null, 5)) ?? [];
  expect(texts(first)).toEqual(['0', '3', '6', '1', '4']);
  expect(texts((await adapter.browse?.(orders, at(first, 4).position, 5)) ?? [])).toEqual(['4', '7', '2', '5', '8']);
  expect(await bench.take(g)).toHaveLength(9);
});

test('memory stays flat however much passes through', async () => {
  const bench = new Bench({ retain: { messages: 100 } });
  const { adapter, orders, g } = await bench.one();
  for (let n = 0; n < 200; n++) {
    await adapter.publish(orders, fill(50), signal);
    await g.ack(receipts(await bench.take(g)));
    expect(bench.broker.bytes).toBeLessThan(100 * 300);
  }
  await adapter.close();
  await turns();
  expect(bench.clock.pending).toBe(0);
});
