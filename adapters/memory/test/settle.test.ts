import type { Delivery } from '@waybill/core/adapter';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { at, Bench, deadLetters, inbox, message, receipts, signal, texts, topic, turns } from './support.ts';

const batch = (...names: string[]) => names.map((name) => message(name));

test('receive never brings more than max, reserves only while it waits, and answers empty after a second', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, batch('a', 'b', 'c'), signal);
  expect(texts(await bench.take(g, 2))).toEqual(['a', 'b']);
  expect(texts(await bench.take(g, 2))).toEqual(['c']);
  const waiting = g.receive(7, signal);
  await bench.clock.pass(999);
  expect(g.reserved).toBe(7);
  await bench.clock.pass(1);
  expect(await waiting).toEqual([]);
  expect(g.reserved).toBe(0);
});

test('a publish wakes a waiting receive, and an aborted signal ends it with nothing', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const waiting = g.receive(10, signal);
  await adapter.publish(orders, batch('a'), signal);
  expect(texts(await waiting)).toEqual(['a']);
  const aborter = new AbortController();
  const aborted = g.receive(10, aborter.signal);
  aborter.abort();
  expect(await aborted).toEqual([]);
  await adapter.publish(orders, batch('b'), signal);
  expect(texts(await bench.take(g))).toEqual(['b']);
});

test('every group gets all, and a group shares its own', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const h1 = await bench.subscribe(adapter, orders, { group: 'h', consumer: '1' });
  const h2 = await bench.subscribe(await bench.adapter(), orders, { group: 'h', consumer: '2' });
  await adapter.publish(orders, batch('a', 'b', 'c', 'd'), signal);
  expect(texts(await bench.take(g))).toEqual(['a', 'b', 'c', 'd']);
  const [first, second] = [await bench.take(h1, 1), await bench.take(h2)];
  expect([texts(first), texts(second)]).toEqual([['a'], ['b', 'c', 'd']]);
});

test('waiting consumers of a group take turns', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const other = await bench.subscribe(await bench.adapter(), orders, { consumer: '2' });
  const got = [0, 0];
  const polls = [g.receive(1, signal), other.receive(1, signal)];
  for (let n = 0; n < 10; n++) {
    await adapter.publish(orders, batch(`${n}`), signal);
    const winner = await Promise.race(
      polls.map(async (poll, index) => ((await poll).length > 0 ? index : new Promise<number>(() => {}))),
    );
    got[winner] = at(got, winner) + 1;
    polls[winner] = (winner === 0 ? g : other).receive(1, signal);
  }
  expect(got).toEqual([5, 5]);
  await bench.clock.pass(1_000);
});

test('what is settled never comes again; a repeated ack is harmless', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, batch('a', 'b'), signal);
  const [a, b] = (await bench.take(g)) as [Delivery, Delivery];
  expect(await g.ack([a.receipt, a.receipt])).toEqual(['ok', 'ok']);
  expect(await g.ack(['rubbish', null])).toEqual(['lost', 'lost']);
  await bench.clock.pass(30_001);
  const again = at(await bench.take(g), 0);
  expect(again).toMatchObject({ id: b.id, deliveryCount: 2 });
  expect(await g.ack([b.receipt])).toEqual(['lost']);
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 1 });
  expect(await g.ack([again.receipt])).toEqual(['ok']);
  expect(await adapter.lag?.(orders, 'g', null)).toEqual({ count: 0, age: null, exact: true });
});

test('a nack gives back at once or after its delay, and stores the attempt of a failure only', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, batch('a', 'b', 'c'), signal);
  const [a, b, c] = (await bench.take(g)) as [Delivery, Delivery, Delivery];
  expect(a).toMatchObject({ deliveryCount: 1, storedAttempt: null });
  await g.nack?.([a.receipt], { delay: 5_000, failed: true, attempt: 2 });
  await g.nack?.([c.receipt], { delay: 0, failed: false, attempt: 9 });
  await g.nack?.([b.receipt], { delay: 0, failed: false, attempt: 9 });
  const back = await bench.take(g);
  expect(texts(back)).toEqual(['b', 'c']);
  expect(back[0]).toMatchObject({ deliveryCount: 2, storedAttempt: null });
  await bench.clock.pass(3_999);
  expect(await bench.take(g)).toEqual([]);
  const failed = at(await bench.take(g), 0);
  expect(failed).toMatchObject({ id: a.id, storedAttempt: 2, deliveryCount: 2 });
  await g.nack?.([failed.receipt], { delay: 0, failed: false, attempt: 7 });
  expect(await bench.take(g)).toMatchObject([{ id: a.id, storedAttempt: 2, deliveryCount: 3 }]);
});

test('a lease ends when it says, and can be prolonged while it lasts', async () => {
  const bench = new Bench();
  const { adapter, orders } = await bench.one();
  const h = await bench.subscribe(adapter, orders, { group: 'h', lease: 1_000 });
  await adapter.publish(orders, batch('a', 'b'), signal);
  const [a, b] = (await bench.take(h)) as [Delivery, Delivery];
  expect(a.leaseUntil).toBe(bench.clock.time + 1_000);
  await bench.clock.pass(900);
  expect(await h.extend?.([b.receipt], 5_000)).toEqual([bench.clock.time + 5_000]);
  await bench.clock.pass(100);
  expect(await h.extend?.([a.receipt, b.receipt], 1_000)).toEqual(['lost', bench.clock.time + 1_000]);
  expect(texts(await bench.take(h))).toEqual(['a']);
  expect(await h.ack([a.receipt])).toEqual(['lost']);
});

test('the inbox of a group is read with its topic, and neither waits for the other', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const h = await bench.subscribe(adapter, orders, { group: 'h' });
  await adapter.publish(
    orders,
    Array.from({ length: 50 }, () => message('topic')),
    signal,
  );
  await adapter.publish(
    inbox(orders, 'g'),
    Array.from({ length: 50 }, () => message('inbox')),
    signal,
  );
  const origins: string[] = [];
  for (let n = 0; n < 10; n++) origins.push(...(await bench.take(g, 5)).map(({ origin }) => origin));
  expect(origins.filter((origin) => origin === 'inbox')).toHaveLength(25);
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 100 });
  expect(new Set((await bench.take(h)).map(({ origin }) => origin))).toEqual(new Set(['topic']));
});

test('what is in an inbox or a dead-letter topic waits for its group, even for one that is made later', async () => {
  const bench = new Bench();
  const { adapter, orders } = await bench.one();
  const dead = deadLetters(orders, 'g');
  await bench.provision(adapter, dead);
  await adapter.publish(dead, batch('a', 'b'), signal);
  expect(texts(await bench.take(await bench.subscribe(adapter, dead, { inbox: null })))).toEqual(['a', 'b']);
});

test('a dead-letter topic holds its messages for its group, and browsing shows those that are left', async () => {
  const bench = new Bench();
  const { adapter, orders } = await bench.one();
  const dead = deadLetters(orders, 'g');
  await adapter.provision(
    {
      topology: 'create',
      destination: dead,
      retention: null,
      groups: [{ group: 'g', address: null, start: 'held', inbox: null }],
    },
    signal,
  );
  await adapter.publish(dead, batch('a', 'b', 'c'), signal);
  const reader = await bench.subscribe(adapter, dead, { inbox: null });
  await reader.ack([at(await bench.take(reader), 1).receipt]);
  await reader.close();
  const seen = (await adapter.browse?.(dead, null, 10)) ?? [];
  expect(texts(seen)).toEqual(['a', 'c']);
  expect(texts((await adapter.browse?.(dead, at(seen, 1).position, 10)) ?? [])).toEqual(['c']);
  expect(await adapter.lag?.(dead, 'g', null)).toMatchObject({ count: 2 });
});

test('closing gives back at once, rejects what comes after and leaves late settles without effect', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, batch('a', 'b'), signal);
  const held = await bench.take(g);
  const waiting = g.receive(1, signal);
  await g.close();
  await g.close();
  expect(await waiting).toEqual([]);
  await expect(g.receive(1, signal)).rejects.toSatisfy((error) => adapter.classify(error) === 'closed');
  const next = await bench.subscribe(adapter, orders);
  expect(texts(await bench.take(next))).toEqual(['a', 'b']);
  expect(await g.ack(receipts(held))).toEqual(['lost', 'lost']);
  await g.nack?.(receipts(held), { delay: 0, failed: true, attempt: 5 });
  expect(await g.extend?.(receipts(held), 5)).toEqual(['lost', 'lost']);
  expect(await bench.take(next)).toEqual([]);
});

test('a cumulative receipt settles all before it in its partition, and nothing can be given back alone', async () => {
  const bench = new Bench();
  const adapter = await bench.adapter({ settle: 'cumulative' });
  const orders = topic('orders', 2);
  await bench.provision(adapter, orders, 'g');
  const g = await bench.subscribe(adapter, orders);
  expect(['nack' in g, 'extend' in g]).toEqual([false, false]);
  await adapter.publish(
    orders,
    [0, 0, 1, 0, 1].map((partition, n) => message(`${n}`, { key: `${partition}`, partition })),
    signal,
  );
  const held = await bench.take(g);
  const last = at(
    held.filter(({ partition }) => partition === 0),
    1,
  );
  expect(last).toMatchObject({ leaseUntil: null, deliveryCount: null });
  await g.ack([last.receipt]);
  await g.close();
  const next = await bench.subscribe(adapter, orders);
  expect(texts(await bench.take(next)).toSorted()).toEqual(['2', '3', '4']);
});

test('whatever consumers do, nothing is lost and nothing settled comes again', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('publish'), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('receive'), who: fc.nat(2), max: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constantFrom('ack', 'nack', 'extend', 'close'), who: fc.nat(2), pick: fc.nat(4) }),
    fc.record({ kind: fc.constant('pass'), ms: fc.integer({ min: 1, max: 1_500 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.constantFrom(null, 3), async (steps, partitions) => {
      const bench = new Bench({ retain: { messages: 0 } });
      const { adapter, orders, g } = await bench.one(partitions);
      await g.close();
      const join = (who: number) => bench.subscribe(adapter, orders, { consumer: `${who}`, lease: 1_000 });
      const members = await Promise.all([0, 1, 2].map(join));
      const held: Delivery[][] = [[], [], []];
      const published: string[] = [];
      const settled = new Set<string>();
      const note = (who: number, deliveries: Delivery[]): void => {
        for (const { id } of deliveries) expect(settled).not.toContain(id);
        at(held, who).push(...deliveries);
      };
      const settle = async (who: number, some: Delivery[]): Promise<void> => {
        const results = await at(members, who).ack(receipts(some));
        some.forEach(({ id }, n) => results[n] === 'ok' && settled.add(id));
      };
      for (const one of steps) {
        if (one.kind === 'publish' && 'count' in one) {
          const more = Array.from({ length: one.count }, (_, n) =>
            message('', { key: `${n}`, partition: partitions && n % partitions }),
          );
          published.push(...more.map(({ id }) => id));
          await adapter.publish(orders, more, signal);
        } else if (one.kind === 'receive' && 'max' in one) {
          note(one.who, await bench.take(at(members, one.who), one.max));
        } else if (one.kind === 'pass' && 'ms' in one) {
          await bench.clock.pass(one.ms);
        } else if ('pick' in one) {
          const some = at(held, one.who).splice(0, one.pick);
          if (one.kind === 'ack') await settle(one.who, some);
          if (one.kind === 'nack')
            await at(members, one.who).nack?.(receipts(some), { delay: one.pick * 300, failed: true, attempt: 2 });
          if (one.kind === 'extend') await at(members, one.who).extend?.(receipts(some), one.pick * 300);
          if (one.kind === 'close') {
            await at(members, one.who).close();
            members[one.who] = await join(one.who);
            held[one.who] = [];
          }
        }
        expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: published.length - settled.size });
      }
      await bench.clock.pass(5_000);
      for (let round = 0; settled.size < published.length && round < 20; round++) {
        for (const who of [0, 1, 2]) {
          const rest = await bench.take(at(members, who));
          note(who, rest);
          await settle(who, rest);
        }
      }
      expect([...settled].toSorted()).toEqual(published.toSorted());
      expect(bench.broker.bytes).toBe(0);
      await adapter.close();
      await turns();
      expect(bench.clock.pending).toBe(0);
    }),
    { numRuns: 60 },
  );
}, 60_000);
