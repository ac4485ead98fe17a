import { describe, expect, test } from 'vitest';
import type { CaseContext } from '../src/case-context.ts';
import { duplicated, guard, lost, redelivered } from '../src/checkers/index.ts';
import { memoryHarness } from '../src/harness/memory.ts';
import { runSuite } from '../src/runner.ts';
import type { Harness } from '../src/target.ts';

/** Runs the body as a case and expects it to pass. */
async function inCase(body: (t: CaseContext) => Promise<unknown>, harness: Harness = memoryHarness()): Promise<void> {
  const run = async (t: CaseContext): Promise<void> => {
    t.equal(1, 1, 'something');
    await body(t);
  };
  const { cases } = await runSuite({
    target: harness,
    cases: [{ id: 'P1.test', guarantees: ['P1'], title: '', cost: 'slow', run }],
  });
  await harness.close();
  expect(cases[0]?.slice ?? cases[0]?.reason ?? '').toBe('');
  expect(cases[0]?.verdict).toBe('passed');
}

describe('t', () => {
  test('names are fresh and legal', () =>
    inCase(async (t) => {
      expect(t.topic('orders').name).toMatch(/^p1-orders-r[a-z0-9]{5}-\d+$/);
      expect(t.topic('Orders & Co!').name).not.toBe(t.topic('Orders & Co!').name);
      expect(t.group('').length).toBeLessThan(40);
    }));

  test('outcomes of publishes are values, and in the history', () =>
    inCase(async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const good = await t.publish(bus, orders);
      const heal = await t.fault.unknownOutcome(1_000);
      const late = new AbortController();
      setTimeout(() => late.abort(), 50);
      const bad = await t.publish(bus, orders, null, { signal: late.signal });
      await heal();
      expect([good.status, bad.status, bad.seq]).toEqual(['confirmed', 'unknown', 2]);
      expect(t.history.publishes.map((one) => one.outcome)).toEqual(['confirmed', 'unknown']);
      expect(t.history.of('fault.start', 'fault.end').map((one) => one.type)).toEqual(['fault.start', 'fault.end']);
    }));

  test('expectError wants the code, and says what came instead', () =>
    inCase(async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect();
      await bus.close();
      const error = await t.expectError(bus.lag(orders, t.group('g')), 'closed');
      expect(error.code).toBe('closed');
      await expect(t.expectError(bus.lag(orders, t.group('g')), 'denied')).rejects.toThrow("code 'closed'");
      await expect(t.expectError(Promise.resolve(1), 'denied')).rejects.toThrow('succeeded with 1');
    }));

  test('batches, failures in them, and settles are recorded', () =>
    inCase(async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect();
      const options = { group: t.group('g'), batch: { size: 10 }, retry: { attempts: 1 } };
      const consumer = await t.consumeBatches(bus, orders, options, (messages, context) => {
        for (const message of messages) if (message.payload.seq === 3) context.fail(message, new Error('no'));
      });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => t.deadLettered(orders, consumer.group).length === 1, 'one dead letter');
      await t.until(() => t.history.arrivals.filter((one) => one.ackedWall !== null).length === 5, 'all are settled');
      expect(t.history.deliveries.map((one) => one.outcome).toSorted()).toEqual([
        'returned',
        'returned',
        'returned',
        'returned',
        'threw',
      ]);
      expect(t.history.deliveries.every((one) => one.batch !== null && one.arrival !== null)).toBe(true);
    }));

  test('a spawned consumer that is killed settles nothing more; what it held comes again; fresh ones drain the rest', () =>
    inCase(async (t) => {
      const orders = t.topic('orders');
      const group = t.group('g');
      const bus = await t.connect({ topics: [orders] });
      const victim = await t.spawn(orders, { group, concurrency: 10 }, { does: 'block', seqs: [2, 4, 6] });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => victim.returned >= 17, 'all but three are handled');
      await victim.kill();
      expect(victim.exited).toBe(true);
      await t.drainAll(orders, [group]);
      const bound = t.scaled(t.supports.deliver.redelivery.bound);
      const { violations, inconclusive } = t.judge(
        lost({ handled: true }),
        redelivered({ bound }),
        duplicated(),
        guard({ confirmed: 20, faults: 1, busyAtFault: true }),
      );
      expect([violations, inconclusive]).toEqual([[], []]);
    }));

  test('a sentinel reaches every group, keys and all', () =>
    inCase(async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders] });
      const consumers = [
        await t.consume(bus, orders, { group: t.group('a') }),
        await t.consume(bus, orders, { group: t.group('b') }),
      ];
      await t.load(bus, orders, { keys: 3, each: 4 });
      await t.sentinel(bus, orders, consumers);
      expect(consumers.map((one) => [one.distinct, one.sentinels])).toEqual([
        [12, 3],
        [12, 3],
      ]);
    }));

  test('in-flight is measured when it has come to rest', () =>
    inCase(async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      let release!: () => void;
      const stuck = new Promise<void>((resolve) => (release = resolve));
      const consumer = await t.consume(bus, orders, { group: t.group('g'), concurrency: 3 }, () => stuck);
      await t.load(bus, orders, { each: 20 });
      expect(await t.settled(() => consumer.running, 'handlers at once')).toBe(3);
      release();
      await t.until(() => consumer.returned === 20, 'all are handled');
      expect(consumer.peak).toBe(3);
    }));

  test('a connection’s adapter can be wrapped, and a take-over fires the signal', () =>
    inCase(async (t) => {
      const orders = t.topic('orders');
      let wrapped = 0;
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) => {
          wrapped += 1;
          return adapter;
        },
      });
      const consumer = await t.consume(
        bus,
        orders,
        { group: t.group('g'), lease: '1s' },
        (_message, { signal }, { nth }) =>
          nth > 1
            ? undefined
            : new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
      );
      await t.publish(bus, orders);
      await t.until(() => consumer.running === 1, 'the handler runs');
      await t.fault.takeOver(consumer);
      await t.until(() => consumer.count === 2 && consumer.running === 0, 'it comes again, and the first run ends');
      expect(wrapped).toBe(1);
      expect(t.history.of('signal')).toHaveLength(1);
      expect(t.history.deliveries[0]?.outcome).toBe('aborted');
    }));
});

describe('the spy of the memory broker', () => {
  test('sees what is there, and puts what a stranger would', () =>
    inCase(async (t) => {
      const orders = t.topic('orders', { ordering: 'spread' });
      const group = t.group('g');
      const bus = await t.connect({ topics: [orders] });
      const retry = { attempts: 1 };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq === 2) throw new Error('no');
      });
      await t.load(bus, orders, { keys: 1, each: 3 });
      await t.until(() => t.deadLettered(orders, group).length === 1, 'a dead letter');
      const [letter] = await t.spy.deadLetters(orders.name, group);
      expect(letter?.headers['waybill-dead-message']).toContain('no');
      expect(JSON.parse(Buffer.from(letter?.body ?? []).toString())).toMatchObject({ seq: 2, key: 'k1' });
      expect(await t.spy.objects(orders.name)).toContain(`${orders.name}__${group}__dlq`);
      await consumer.close();
      await t.spy.put(orders.name, {
        body: Buffer.from('{"run":"other"}'),
        headers: { 'waybill-attempt': '9' },
        key: 'k',
      });
      expect(await t.spy.depth(orders.name, group)).toBe(1);
      expect(await t.spy.depth(orders.name, 'nobody').catch((error: Error) => error.message)).toContain('no group');
    }));
});

describe('a consumer process', () => {
  test(
    'starts, is stopped and woken up, drains, and is killed; its events are in the history',
    () =>
      inCase(
        async (t) => {
          const orders = t.topic('orders', { ordering: 'key' });
          const one = await t.spawn(orders, { group: t.group('g') });
          const two = await t.spawn(orders, { group: t.group('g') }, { does: 'block' });
          await one.stop();
          await one.wake();
          await one.drain();
          await two.kill();
          expect([one.exited, two.exited]).toEqual([true, true]);
          expect(new Set(t.history.of('group.ready').map((event) => event.process))).toEqual(
            new Set([one.name, two.name]),
          );
          expect(t.history.of('closed').map((event) => event.consumer)).toEqual([one.name]);
          expect(t.history.of('killed').map((event) => event.consumer)).toEqual([two.name]);
        },
        // Each process has a memory broker of its own: enough to prove the plumbing.
        {
          ...memoryHarness(),
          child: { module: '@waybill/memory', config: { url: 'memory:', options: {}, client: 'test' } },
        },
      ),
    60_000,
  );
});
