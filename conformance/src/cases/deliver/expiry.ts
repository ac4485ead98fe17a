import { fixed } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { expiredInTime, guard, lost, reordered, unexpected } from '../../checkers/index.ts';
import type { PublishView } from '../../history.ts';

const needs = { 'deliver.expiry': true } as const;

/** Expired before anybody could handle it, so that nobody must have it. */
const short = (publish: PublishView): boolean => publish.expires !== null && publish.expires - publish.wall < 30_000;

export const expiry: readonly ConformanceCase[] = [
  waiting('dead-letter'),
  waiting('drop'),
  {
    id: 'D10.retried-past-its-time',
    guarantees: ['D10', 'R1'],
    title: 'A message that is being retried is given up when its time is over: no handler starts after it.',
    needs,
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const expired: string[] = [];
      bus.on('expired', ({ id }) => expired.push(id));
      const retry = { attempts: 50, backoff: fixed('300ms'), mode: 'in-place' as const };
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), retry }, ({ payload }) => {
        if (payload.data === 'fails') throw new Error('it fails');
      });
      await t.load(bus, orders, { each: 10, data: () => 'fails', options: { expires: 1_500 } });
      await t.load(bus, orders, { each: 10, options: { expires: '1h' } });
      await t.until(() => expired.length >= 10, 'the ten expire', { total: 15_000 });
      await t.sentinel(bus, orders, [consumer]);
      t.equal(new Set(expired).size, 10, 'different messages that expired');
      // Eleven runs of ten messages: one was retried. A slow broker brings them late, so no more is asked for.
      return t.judge(expiredInTime(), unexpected(), lost(), guard({ confirmed: 20, threw: 11 }));
    },
  },
  {
    id: 'D10.behind-a-busy-handler',
    guarantees: ['D10', 'F1'],
    title: 'A message that expires in the prefetch, behind a busy handler, is not handled.',
    needs,
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const options = { group: t.group('inventory'), concurrency: 1, prefetch: 50 };
      const consumer = await t.consume(bus, orders, options, ({ payload }) =>
        t.pass(payload.data === 'busy' ? 1_200 : 0),
      );
      await t.load(bus, orders, { each: 1, data: () => 'busy' });
      await t.until(() => consumer.running === 1, 'the handler is busy');
      await t.load(bus, orders, { each: 15, options: { expires: 500 } });
      await t.load(bus, orders, { each: 15, options: { expires: '1h' } });
      await t.until(() => consumer.distinct >= 16, 'the others are handled');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(
        [consumer.count, consumer.subscription.counts.expired],
        [16, 15],
        'handler runs, and expired messages counted',
      );
      return t.judge(expiredInTime(), lost({ except: short }), unexpected(), guard({ confirmed: 31 }));
    },
  },
  {
    id: 'D10.the-key-goes-on',
    guarantees: ['D10', 'O1', 'O4'],
    title: 'An expired message releases its key: what follows comes, in order.',
    needs: { 'deliver.expiry': true, 'order.key': true },
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      for (let round = 1; round <= 10; round++)
        await t.load(bus, orders, { keys: 8, each: 1, options: { expires: round % 3 === 0 ? 400 : '1h' } });
      await t.pass(600);
      const consumer = await t.consume(bus, orders, { group });
      await t.until(() => consumer.distinct >= 56, 'what has not expired is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(
        [consumer.count, consumer.subscription.counts.expired],
        [56, 24],
        'handler runs, and expired messages counted',
      );
      const except = { except: short };
      return t.judge(expiredInTime(), reordered(except), lost({ since: 'all', ...except }), guard({ confirmed: 80 }));
    },
  },
];

function waiting(onExpired: 'dead-letter' | 'drop'): ConformanceCase {
  return {
    id: `D10.expired-while-it-waited-${onExpired}`,
    guarantees: ['D10', 'F5'],
    title: `Messages that expire before their group reads reach no handler; they are ${onExpired === 'drop' ? 'dropped' : 'dead-lettered'} and counted.`,
    needs,
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 20, options: { expires: 500 } });
      await t.load(bus, orders, { each: 20, options: { expires: new Date(Date.now() + 600) } });
      await t.load(bus, orders, { each: 20, options: { expires: '1h' } });
      await t.load(bus, orders, { each: 10 });
      await t.pass(800);
      let dead = 0;
      bus.on('dead-lettered', ({ code }) => (dead += code === 'expired' ? 1 : 0));
      const consumer = await t.consume(bus, orders, { group, onExpired });
      await t.until(() => consumer.distinct >= 30, 'what has not expired is delivered');
      await t.sentinel(bus, orders, [consumer]);
      const { expired } = consumer.subscription.counts;
      // What the broker itself has removed is counted there, not here.
      if (t.supports.deliver.expiry.by === 'emulated') t.equal(expired, 40, 'expired messages counted');
      const letters = t.history
        .of('send')
        .filter(({ kind }) => kind === 'dead-letter')
        .flatMap(({ ids }) => ids);
      if (onExpired === 'drop') t.equal([dead, letters.length], [0, 0], 'dead letters');
      else t.equal([dead, new Set(letters).size], [expired, expired], 'dead letters of code expired');
      t.equal(consumer.count, 30, 'handler runs');
      if (t.supports.lag.by !== 'refused' && t.supports.lag.exact)
        await t.until(async () => (await bus.lag(orders, group)).count === 0, 'nothing is left unsettled');
      return t.judge(expiredInTime(), lost({ since: 'all', except: short }), unexpected(), guard({ confirmed: 70 }));
    },
  };
}
