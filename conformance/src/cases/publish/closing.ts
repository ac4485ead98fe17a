import type { ConformanceCase } from '../../case.ts';
import { guard, lost, pending, phantom, recovered } from '../../checkers/index.ts';

export const publishAndClose: readonly ConformanceCase[] = [
  {
    id: 'P1.publish-and-close',
    guarantees: ['P1', 'P2', 'L2'],
    title: 'Closing right after publishing leaves no publish open, and what resolved is stored.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const load = t.load(bus, orders, { each: 300, concurrency: 300 });
      await t.within(bus.close(), 'the bus is closed');
      const outcomes = await t.within(load, 'every publish has an outcome');
      const late = await t.publish(bus, orders);
      t.equal([late.status, 'error' in late && late.error.code], ['rejected', 'closed'], 'a publish after close');
      const reader = await t.connect({ topics: [orders] });
      const consumer = await t.consume(reader, orders, { group });
      await t.delivered(orders, [consumer]);
      await t.sentinel(reader, orders, [consumer]);
      return t.judge(
        lost({ since: 'all' }),
        pending(),
        phantom(),
        recoveredOrNone(outcomes),
        guard({ confirmed: 300 }),
      );
    },
  },
  {
    id: 'P1.retention-spares-what-is-unsettled',
    guarantees: ['P1', 'D1'],
    title: 'Retention removes settled messages only: a group that lags behind still gets everything.',
    needs: { 'deliver.retention': true, 'deliver.fanout': true },
    cost: 'slow',
    declinedBy: ({ deliver }) =>
      deliver.unsettled.maxAge === null
        ? null
        : 'deliver.unsettled.maxAge: the broker itself gives up what waits too long',
    run: async (t) => {
      const orders = t.topic('orders');
      const [quick, lagging] = [t.group('quick'), t.group('lagging')];
      const config = { topics: { [orders.name]: { retention: '1s' as const, groups: [quick, lagging] } } };
      const bus = await t.connect({ topics: [orders], config });
      const reader = await t.consume(bus, orders, { group: quick });
      await t.load(bus, orders, { each: 200 });
      await t.until(() => reader.returned >= 200, 'the quick group has handled all');
      await t.pass(3_000); // the retention, three times over
      await t.load(bus, orders, { each: 10 });
      const late = await t.consume(bus, orders, { group: lagging });
      await t.delivered(orders, [late]);
      await t.sentinel(bus, orders, [reader, late]);
      return t.judge(lost({ since: 'all' }), guard({ confirmed: 210 }));
    },
  },
];

function recoveredOrNone(outcomes: readonly { readonly status: string }[]): ReturnType<typeof recovered> {
  return outcomes.some(({ status }) => status === 'unknown') ? recovered() : pending();
}
