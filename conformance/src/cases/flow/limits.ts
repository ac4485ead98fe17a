import type { BatchOptions, SubscribeOptions } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

type Wrong = Partial<SubscribeOptions> & { readonly batch?: BatchOptions };

/** Each with the option that the error must name. */
const wrong: readonly (readonly [string, Wrong])[] = [
  ['prefetch', { prefetch: 0 }],
  ['prefetch', { prefetch: 1.5 }],
  ['prefetch', { prefetch: Number.NaN }],
  ['prefetch', { prefetch: 10_000_000 }],
  ['prefetchBytes', { prefetchBytes: 0 }],
  ['concurrency', { concurrency: 0 }],
  ['concurrency', { concurrency: -1 }],
  ['concurrency', { concurrency: Number.POSITIVE_INFINITY }],
  ['batch.size', { batch: { size: 0 } }],
  ['batch.linger', { batch: { size: 10, linger: -5 } }],
  ['batch.size', { batch: { size: 10 }, prefetch: 9 }],
  ['batch', { batch: { size: 10 }, delivery: 'at-most-once' }],
];

export const limits: readonly ConformanceCase[] = [
  {
    id: 'F1.concurrency-turned-while-running',
    guarantees: ['F1'],
    title: 'Concurrency can be raised and lowered while a subscription runs; the new limit holds.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const low = 2;
      const high = 6;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      let peak = 0;
      const options: SubscribeOptions = { group: t.group('inventory'), concurrency: low, prefetch: 60, ...shortDrain };
      const consumer = await t.consume(bus, orders, options, () => {
        peak = Math.max(peak, consumer.running);
        return gate.enter();
      });
      const total = 2 * (2 * high + 10) + 20;
      await t.load(bus, orders, { each: total });
      /** Runs `rounds` times as many as may run at once, and returns the most seen at once. */
      const turn = async (limit: number, rounds: number): Promise<number> => {
        peak = 0;
        for (let round = 0; round < rounds; round++) {
          await t.until(() => gate.waiting === limit, `${limit} handlers run`);
          const began = consumer.count;
          gate.release(limit);
          await t.until(() => consumer.count === began + limit, `${limit} more begin`);
        }
        await t.settled(() => consumer.count, 'handler runs');
        return peak;
      };
      t.equal(await turn(low, 3), low, 'most handlers at once at first');
      consumer.subscription.setConcurrency(high);
      t.equal(await turn(high, 3), high, 'most handlers at once when raised');
      consumer.subscription.setConcurrency(low);
      gate.release(high - low);
      await t.until(() => gate.waiting === low, 'those over the new limit have ended');
      t.equal(await turn(low, 3), low, 'most handlers at once when lowered');
      gate.open();
      await t.until(() => consumer.distinct === total, 'all are delivered');
      for (const value of [0, -1, 1.5, Number.NaN])
        await t.expectError(() => Promise.resolve(consumer.subscription.setConcurrency(value)), 'invalid');
      return t.judge(lost(), guard({ confirmed: total }));
    },
  },
  {
    id: 'F1.bad-limits-are-refused',
    guarantees: ['F1', 'F7'],
    title: 'A limit that is out of bounds is a typed error that names it, before anything is made.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect();
      for (const [option, options] of wrong) {
        const group = t.group('inventory');
        const error = await t.expectError(
          () => bus.bus.subscribe(orders, { group, ...options }, () => undefined),
          'invalid',
        );
        t.ok(error.message.includes(option), `the error names ${option}: '${error.message}'`);
        t.ok(error.message.includes(group), `the error names the subscription: '${error.message}'`);
      }
      t.equal(t.history.of('group.ready', 'send').length, 0, 'groups made and messages sent');
      t.equal(bus.health().subscriptions, [], 'subscriptions left behind');
    },
  },
  {
    id: 'F1.impossible-prefetch-is-refused',
    guarantees: ['F1'],
    title: 'A chosen prefetch smaller than the partitions that each need credit is refused.',
    needs: { 'order.key': true },
    cost: 'quick',
    declinedBy: ({ receive, order }) =>
      receive.credit === 'partition' && order.key.partitions === 'counted'
        ? null
        : 'credit is kept per subscription, so any prefetch can be honoured',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const config = { topics: { [orders.name]: { partitions: 6 } } };
      const bus = await t.connect({ config });
      const options = { group: t.group('inventory'), prefetch: 5 };
      const error = await t.expectError(() => t.consume(bus, orders, options), 'unsupported');
      t.ok(error.message.includes('receive.credit') && error.message.includes('6'), `it says why: '${error.message}'`);
      t.equal(t.history.of('group.ready', 'send').length, 0, 'groups made and messages sent');
      const consumer = await t.consume(bus, orders, { ...options, prefetch: 6 });
      await t.load(bus, orders, { keys: 12, each: 3 });
      await t.until(() => consumer.distinct === 36, 'one credit for each partition is enough');
      return t.judge(lost(), guard({ confirmed: 36 }));
    },
  },
];
