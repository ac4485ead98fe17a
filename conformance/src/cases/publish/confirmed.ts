import type { ConformanceCase } from '../../case.ts';
import { content, guard, lost, phantom, unexpected } from '../../checkers/index.ts';

const messages = 1_000;

export const confirmed: readonly ConformanceCase[] = [
  {
    id: 'P1.confirmed-is-delivered',
    guarantees: ['P1', 'D1', 'P4'],
    title: 'A publish that was confirmed reaches every group that was there, unchanged.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const groups = [t.group('inventory'), t.group('fraud')];
      await t.provision(orders, groups);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: messages, concurrency: 100 });
      const consumers = await Promise.all(groups.map((group) => t.consume(bus, orders, { group, concurrency: 32 })));
      await t.delivered(orders, consumers);
      await t.sentinel(bus, orders, consumers);
      return t.judge(lost(), unexpected(), content(), guard({ confirmed: messages, returned: 2 * messages }));
    },
  },
  {
    id: 'P1.rejected-is-stored-nowhere',
    guarantees: ['P1', 'P2'],
    title: 'A publish that was rejected reaches nobody; its neighbours do.',
    cost: 'fault',
    faults: ['reject-sends'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group });
      await t.load(bus, orders, { each: 20 });
      const heal = await t.fault.rejectSends(5);
      const outcomes = await t.load(bus, orders, { each: 20, concurrency: 1 });
      await heal();
      const rejected = outcomes.filter((outcome) => outcome.status === 'rejected').length;
      t.equal(rejected, 5, 'publishes rejected while the broker refused');
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.distinct >= 55, 'the other 55 are delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(phantom(), lost(), guard({ confirmed: 55, rejected: 5, faults: 1 }));
    },
  },
];
