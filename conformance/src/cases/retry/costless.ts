import { fixed } from '@waybill/core';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost } from '../../checkers/index.ts';
import { gate } from '../gate.ts';

export const costsNoAttempt: readonly ConformanceCase[] = [
  {
    id: 'R3.drains',
    guarantees: ['R3', 'L2'],
    title: 'Messages that a stopped consumer gives back have cost no attempt, however often.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      await t.provision(orders, [group]);
      await t.load(bus, orders, { each: 40 });
      for (let round = 0; round < 4; round++) {
        const own = await t.connect({ topics: [orders] });
        const held = gate();
        const consumer = await t.consume(own, orders, { group, concurrency: 2, prefetch: 40 }, () => held.opened);
        await t.until(() => consumer.running === 2, 'two are being handled');
        const closing = t.track('close', consumer.close());
        held.open();
        await t.within(closing, 'the consumer drains');
        t.equal(consumer.count, 2, 'handler runs of a consumer that was stopped at once');
        await own.close();
      }
      const last = await t.consume(await t.connect({ topics: [orders] }), orders, { group });
      await t.until(() => last.distinct >= 32, 'the rest arrives');
      await t.sentinel(bus, orders, [last]);
      t.equal(new Set(t.history.deliveries.map((run) => run.attempt)), new Set([1]), 'attempts');
      return t.judge(
        attempts(),
        duplicated({ forbidden: t.supports.settle.repeats === 'never' }),
        lost(),
        guard({ returned: 40 }),
      );
    },
  },
  {
    id: 'R3.drain-deadline',
    guarantees: ['R3', 'L2', 'R9'],
    title: 'A handler that outlasts the drain is told by its signal, and whatever it does then counts as no failure.',
    cost: 'quick',
    timeout: ({ deliver }) => 15_000 + deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const held = gate();
      const signals: AbortSignal[] = [];
      const own = await t.connect({ topics: [orders] });
      const old = await t.consume(own, orders, { group, drain: 300, concurrency: 4 }, async (message, context) => {
        signals.push(context.signal);
        await held.opened;
        if (message.payload.seq % 2 === 0) throw new Error('too late');
      });
      await t.load(bus, orders, { each: 4 });
      await t.until(() => old.running === 4, 'all are being handled');
      await t.within(old.close(), 'the drain ends at its deadline', 10_000);
      t.equal(signals.filter((signal) => signal.aborted).length, 4, 'signals that have fired');
      held.open();
      await t.until(() => old.running === 0, 'the late handlers end');
      const next = await t.consume(await t.connect({ topics: [orders] }), orders, { group });
      await t.until(() => next.distinct >= 4, 'the messages come again', {
        total: 30_000 + t.supports.deliver.redelivery.bound,
      });
      await t.sentinel(bus, orders, [next]);
      t.equal(
        next.deliveries.map((one) => one.attempt),
        [1, 1, 1, 1],
        'attempts at the next consumer',
      );
      const acked = t.history.arrivals.filter((one) => one.consumer === old.name && one.ackedWall !== null);
      t.equal(acked.length, 0, 'deliveries that the late handlers have settled');
      return t.judge(attempts(), lost({ handled: true }), guard({ confirmed: 4 }));
    },
  },
  {
    id: 'R3.pause',
    guarantees: ['R3', 'D9'],
    title: 'Pausing and resuming costs no attempt, whatever is held meanwhile.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const retry = { attempts: 3, backoff: fixed(30) };
      const consumer = await t.consume(bus, orders, { group, concurrency: 2, retry }, ({ payload }, { attempt }) => {
        if (payload.seq % 10 === 0 && attempt === 1) throw new Error('only once');
        return t.pass(2);
      });
      const flow = t.load(bus, orders, { each: 200 });
      for (let round = 0; round < 5; round++) {
        const count = consumer.count;
        await t.until(() => consumer.count > count + 5, 'some are handled');
        consumer.pause();
        await t.until(() => consumer.running === 0, 'running handlers end');
        consumer.resume();
      }
      await flow;
      await t.until(() => consumer.returned >= 200, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.threw, 20, 'handler runs that failed');
      return t.judge(
        attempts(),
        lost(),
        duplicated({ forbidden: t.supports.settle.repeats === 'never' }),
        guard({ returned: 200 }),
      );
    },
  },
  {
    id: 'R3.lease-extension',
    guarantees: ['R3', 'D6'],
    title: 'A handler that needs several leases is one attempt, and nobody else gets its message.',
    needs: { lease: true },
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const { granularity, max } = t.supports.lease;
      const lease = Math.min(max ?? 3_000, Math.max(3_000, granularity));
      const options = { group, lease, concurrency: 8 };
      const takes = (): Promise<void> => t.pass(3 * lease);
      const consumers = [await t.consume(bus, orders, options, takes)];
      consumers.push(await t.consume(await t.connect({ topics: [orders] }), orders, options, takes));
      await t.load(bus, orders, { each: 8 });
      const returned = (): number => consumers.reduce((sum, one) => sum + one.returned, 0);
      await t.until(() => returned() >= 8, 'all are handled');
      await t.sentinel(bus, orders, consumers);
      t.equal(new Set(t.history.deliveries.map((run) => run.attempt)), new Set([1]), 'attempts');
      return t.judge(attempts(), duplicated({ forbidden: true }), lost(), guard({ returned: 8 }));
    },
  },
  {
    id: 'R3.revoked-partitions',
    guarantees: ['R3', 'O3'],
    title: 'Messages that move to another consumer when the group changes have cost no attempt.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const retry = { attempts: 5, backoff: fixed(20) };
      const consume = async (): Promise<Awaited<ReturnType<typeof t.consume>>> =>
        t.consume(
          await t.connect({ topics: [orders] }),
          orders,
          { group, concurrency: 4, retry },
          async ({ payload }, context) => {
            await t.pass(1);
            if (payload.seq % 7 === 0 && context.attempt === 1) throw new Error('only once');
          },
        );
      const consumers = [await consume()];
      const flow = t.load(bus, orders, { keys: 24, each: 40, gap: 1 });
      const total = (): number => consumers.reduce((sum, one) => sum + one.count, 0);
      for (let round = 0; round < 3; round++) {
        const count = total();
        await t.until(() => total() > count + 50, 'some are handled');
        consumers.push(await consume());
      }
      await flow;
      await t.until(
        () => new Set(consumers.flatMap((one) => one.deliveries.map(({ id }) => id))).size >= 24 * 40,
        'all are delivered',
      );
      await t.sentinel(bus, orders, consumers);
      // A message may move while it waits for its second run; its count goes with it where the broker stores it.
      return t.judge(
        attempts({ durable: t.supports.settle.nack.attempts }),
        lost(),
        guard({ confirmed: 960, threw: 100 }),
      );
    },
  },
];
