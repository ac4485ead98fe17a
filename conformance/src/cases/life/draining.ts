import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost } from '../../checkers/index.ts';
import { Turnstile } from '../flow/turnstile.ts';

export const draining: readonly ConformanceCase[] = [
  {
    id: 'L2.running-finish-unstarted-go-back',
    guarantees: ['L2', 'R3'],
    title: 'A drain lets running handlers finish; what has not begun goes to other consumers at once, at attempt 1.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const gate = new Turnstile();
      const first = await t.connect({ topics: [orders] });
      const second = await t.connect({ topics: [orders] });
      const options = { group, concurrency: 4, prefetch: 24 };
      const leaving = await t.consume(first, orders, { ...options, drain: '20s' }, () => gate.enter());
      await t.load(first, orders, { each: 40 });
      await t.until(() => leaving.running === 4, 'four handlers run');
      await t.settled(() => leaving.subscription.held, 'what it holds');
      const closing = t.track('the drain', leaving.close());
      const staying = await t.within(t.consume(second, orders, options), 'another consumer joins', 60_000);
      // Where nothing can be given back on its own, the broker learns of it when the subscription ends.
      const alone = t.supports.settle.nack.by !== 'refused' && t.supports.settle.mode === 'individual';
      if (alone) {
        await t.until(() => staying.distinct === 36, 'what had not begun reaches the other consumer', {
          total: 10_000,
        });
        t.equal(leaving.running, 4, 'handlers still running at the one that drains');
      }
      gate.open();
      await t.within(closing, 'the drain ends when the handlers do');
      t.equal([leaving.returned, leaving.count], [4, 4], 'handler runs at the one that drained: ended, begun');
      t.equal(t.history.of('signal').length, 0, 'signals that fired');
      await t.until(() => staying.distinct === 36, 'the other consumer handles the rest', { total: 60_000 });
      await t.sentinel(second, orders, [staying]);
      return t.judge(lost(), duplicated({ forbidden: true }), attempts(), guard({ confirmed: 40, returned: 40 }));
    },
  },
  {
    id: 'L2.deadline-fires-signals',
    guarantees: ['L2', 'R3'],
    title:
      'Past its deadline a drain fires the signals; what handlers do after that settles nothing and is no failure.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const drain = 400;
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      let retries = 0;
      bus.on('retry', () => (retries += 1));
      const reasons: unknown[] = [];
      const consumer = await t.consume(bus, orders, { group, concurrency: 4, drain }, async (message, context) => {
        context.signal.addEventListener('abort', () => reasons.push(context.signal.reason), { once: true });
        await gate.enter();
        if (message.payload.seq % 2 === 0) throw new Error('too late to be a failure');
      });
      await t.load(bus, orders, { each: 4 });
      await t.until(() => consumer.running === 4, 'four handlers run');
      const began = t.now();
      await t.within(consumer.close(), 'the drain ends by its deadline');
      const took = t.now() - began;
      const most = drain + t.supports.receive.stopDelay + t.scaled(3_000);
      t.ok(took >= drain - 1 && took <= most, `it took ${took.toFixed(0)} ms; allowed: ${drain} to ${most.toFixed(0)}`);
      t.equal(reasons.length, 4, 'signals that fired');
      t.ok(
        reasons.every((reason) => reason instanceof Error),
        'each has an error as its reason',
      );
      gate.open();
      await t.until(() => consumer.running === 0, 'the handlers end, too late');
      const next = await t.consume(bus, orders, { group });
      await t.until(() => next.distinct === 4, 'all four come again');
      t.equal(
        next.deliveries.map((run) => run.attempt),
        [1, 1, 1, 1],
        'their attempts',
      );
      t.equal(retries, 0, 'failures that were counted');
      await t.sentinel(bus, orders, [next]);
      return t.judge(lost({ handled: true }), guard({ confirmed: 4, delivered: 8 }));
    },
  },
  {
    id: 'L2.parked-retries-go-back',
    guarantees: ['L2', 'R1', 'R3'],
    title: 'A drain does not wait for the backoff of failed messages: they come again elsewhere, without losing any.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const retry = { attempts: 5, mode: 'in-place', backoff: { kind: 'fixed', delay: 4_000, jitter: 0 } } as const;
      const consumer = await t.consume(bus, orders, { group, retry, drain: '20s' }, () => {
        throw new Error('not here');
      });
      await t.load(bus, orders, { each: 6 });
      await t.until(() => consumer.threw === 6, 'all have failed once');
      const began = t.now();
      await t.within(consumer.close(), 'the drain ends');
      const took = t.now() - began;
      t.ok(
        took < 2_500 + t.supports.receive.stopDelay,
        `the drain took ${took.toFixed(0)} ms; it waits for no backoff`,
      );
      const next = await t.consume(bus, orders, { group, retry });
      await t.until(() => next.distinct === 6, 'all come to the next consumer', { total: 60_000 });
      const { durable } = t.supports.settle.attempts;
      await t.sentinel(bus, orders, [next]);
      return t.judge(lost({ handled: true }), attempts({ durable }), guard({ confirmed: 6, threw: 6 }));
    },
  },
  {
    id: 'L2.killed-by-signal-drains',
    guarantees: ['L2', 'R3', 'D3'],
    title: 'A consumer process that is asked to end drains, and exits by itself; the others take over.',
    cost: 'fault',
    faults: ['kill-consumer'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const leaving = await t.spawn(orders, { group, concurrency: 2 }, { does: 'return', takes: 20 });
      const flow = t.load(bus, orders, { each: 100, gap: 5 });
      await t.until(() => leaving.returned >= 5, 'it works');
      const staying = await t.consume(bus, orders, { group });
      await t.within(leaving.drain(), 'it drains and exits', 40_000);
      t.equal(leaving.exited, true, 'whether it has exited');
      await flow;
      await t.until(() => staying.distinct + leaving.returned >= 100, 'the other handles the rest', { total: 60_000 });
      await t.sentinel(bus, orders, [staying]);
      return t.judge(lost({ handled: true }), duplicated({ forbidden: true }), attempts(), guard({ confirmed: 100 }));
    },
  },
];
