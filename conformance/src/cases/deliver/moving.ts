import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';

export const moving: readonly ConformanceCase[] = [
  {
    id: 'D8.reset-of-a-stopped-group',
    guarantees: ['D8', 'D7'],
    title: 'A stopped group can be moved back, and gets everything again; a running one is refused.',
    needs: { reset: true, 'deliver.replay': true },
    by: 'reset',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const [group, other] = [t.group('inventory'), t.group('other')];
      const bus = await t.connect({ topics: [orders] });
      const first = await t.consume(bus, orders, { group });
      const beside = await t.consume(bus, orders, { group: other });
      await t.load(bus, orders, { each: 60 });
      await t.until(() => first.returned >= 60 && beside.returned >= 60, 'both groups have handled all');
      await t.sentinel(bus, orders, [first, beside]);
      await t.expectError(bus.reset(orders, group, 'earliest'), 'invalid');
      await first.close();
      await bus.reset(orders, group, 'earliest');
      const second = await t.consume(bus, orders, { group });
      await t.until(() => second.distinct >= 60, 'everything comes again');
      await t.sentinel(bus, orders, [second, beside]);
      t.equal([second.count, beside.count], [60, 60], 'handler runs after the reset, and of the other group');
      t.equal(
        second.deliveries.every(({ attempt }) => attempt === 1),
        true,
        'they are first attempts',
      );
      return t.judge(lost(), guard({ confirmed: 60 }));
    },
  },
  {
    id: 'D8.reset-of-a-group-that-runs-elsewhere',
    guarantees: ['D8'],
    title: 'A group that runs on another connection can not be moved.',
    needs: { reset: true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const consumer = await t.consume(await t.connect({ topics: [orders] }), orders, { group });
      const bus = await t.connect();
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.returned >= 20, 'all are handled');
      await t.expectError(bus.reset(orders, group, 'latest'), 'invalid');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.count, 20, 'handler runs');
    },
  },
  {
    id: 'D8.seek-of-a-running-group',
    guarantees: ['D8'],
    title: 'A running subscription can be moved back, and gets everything again.',
    needs: { seek: true, 'deliver.replay': true },
    by: 'seek',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 60 });
      await t.until(() => consumer.returned >= 60 && other.returned >= 60, 'both groups have handled all');
      await t.sentinel(bus, orders, [consumer, other]);
      await consumer.subscription.seek('earliest');
      await t.until(() => consumer.returned >= 120, 'everything comes again');
      await t.sentinel(bus, orders, [consumer, other]);
      t.equal([consumer.count, other.count], [120, 60], 'handler runs of both groups');
      return t.judge(lost(), guard({ confirmed: 60 }));
    },
  },
];
