import { partitionOf } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { Consumer } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { gate } from '../gate.ts';

/** A count that a case may choose where Waybill counts partitions; elsewhere the broker has its own ways. */
const partitions = 4;

function withPartitions(t: CaseContext, topic: { readonly name: string }, count: number) {
  return t.supports.order.key.partitions === 'counted' ? { topics: { [topic.name]: { partitions: count } } } : {};
}

export const orderPerKey: readonly ConformanceCase[] = [
  {
    id: 'O1.many-keys-many-consumers',
    guarantees: ['O1', 'D3'],
    title: 'Messages of a key come in order, one at a time, with many keys, consumers and handlers at once.',
    needs: { 'order.key': true },
    cost: 'slow',
    timeout: 120_000,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const takes = (): Promise<void> => t.pass(t.random.int(0, 2));
      const consumers: Consumer[] = [];
      for (let index = 0; index < 4; index++) {
        const own = await t.connect({ topics: [orders] });
        consumers.push(await t.consume(own, orders, { group, concurrency: 32 }, takes));
      }
      const keys = 64;
      const each = 60;
      await t.load(bus, orders, { keys, each, concurrency: 200 });
      const distinct = (): number => consumers.reduce((sum, one) => sum + one.distinct, 0);
      await t.until(() => distinct() >= keys * each, 'everything is delivered', { total: 100_000, idle: 30_000 });
      await t.sentinel(bus, orders, consumers);
      const peak = Math.max(...consumers.map((one) => one.peak));
      t.ok(peak > 1, `keys were handled side by side (at most ${peak} at once)`);
      return t.judge(reordered(), overlapped(), duplicated(), lost(), guard({ confirmed: keys * each }));
    },
  },
  {
    id: 'O1.next-waits-for-settled',
    guarantees: ['O1', 'O4'],
    title: 'The next message of a key is withheld until the one before it has ended; other keys go on.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const held = gate();
      const blocked = 'stuck';
      const consumer = await t.consume(bus, orders, { group, concurrency: 8 }, async ({ key, payload }) => {
        if (key === blocked && payload.seq === 1) await held.opened;
      });
      for (let round = 0; round < 4; round++) await t.publish(bus, orders, blocked);
      await t.load(bus, orders, { keys: 12, each: 6 });
      const others = Array.from({ length: 12 }, (_, index) => `k${index + 1}`);
      // Behind everything published so far: if the key were let go, its next message would be here by now.
      await t.sentinel(bus, orders, [consumer], { keys: others });
      await t.settled(() => consumer.count, 'the deliveries');
      const ofStuck = consumer.deliveries.filter((one) => one.key === blocked).length;
      t.equal(ofStuck, 1, 'deliveries of the key whose first message is being handled');
      t.equal(consumer.returned - consumer.sentinels, 12 * 6, 'handled messages of the other keys');
      held.open();
      await t.until(() => consumer.distinct >= 12 * 6 + 4, 'the rest of the key comes');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(reordered(), overlapped(), lost());
    },
  },
  {
    id: 'O1.hot-key-in-shared-partition',
    guarantees: ['O1'],
    title: 'Order holds for keys that share a partition, also beside a hot key with nine tenths of the traffic.',
    needs: { 'order.key': true },
    cost: 'quick',
    timeout: 90_000,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const config = withPartitions(t, orders, partitions);
      // Some brokers store one key's messages one round trip after another, and there are 180.
      const publish = { timeout: t.scaled(60_000) };
      const bus = await t.connect({ topics: [orders], config: { ...config, publish } });
      const consumer = await t.consume(bus, orders, { group, concurrency: 16 }, ({ key }) =>
        key === 'hot' ? undefined : t.pass(5),
      );
      const home = partitionOf('hot', partitions);
      const cold = Array.from({ length: 200 }, (_, index) => `cold${index}`)
        .filter((key) => partitionOf(key, partitions) === home)
        .slice(0, 10);
      const sends: Promise<unknown>[] = [];
      for (let round = 0; round < 200; round++)
        sends.push(t.publish(bus, orders, round % 10 === 9 ? (cold[((round - 9) / 10) % cold.length] ?? null) : 'hot'));
      await Promise.all(sends);
      await t.until(() => consumer.distinct >= 200, 'everything is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.ok(consumer.peak > 1, 'cold keys were handled beside the hot one');
      return t.judge(reordered(), overlapped(), lost(), guard({ confirmed: 200 }));
    },
  },
  {
    id: 'O5.more-keys-than-partitions',
    guarantees: ['O5', 'O1'],
    title: 'More keys are handled at once than there are partitions, and each still in order.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders], config: withPartitions(t, orders, partitions) });
      const held = gate();
      const consumer = await t.consume(bus, orders, { group, concurrency: 32 }, () => held.opened);
      await t.load(bus, orders, { keys: 100, each: 3 });
      await t.until(() => consumer.running > 0, 'handlers run');
      // Nobody returns, so what runs is what may run at once.
      const atOnce = await t.settled(() => consumer.running, 'the handlers at once');
      held.open();
      t.measure('handlersAtOnce', atOnce);
      t.ok(atOnce > partitions, `handlers at once (${atOnce}) are more than the ${partitions} partitions`);
      t.ok(atOnce <= 32, `handlers at once (${atOnce}) are no more than the concurrency of 32`);
      const running = new Set(consumer.deliveries.slice(0, atOnce).map((one) => one.key));
      t.equal(running.size, atOnce, 'different keys among the handlers at once');
      await t.until(() => consumer.distinct >= 300, 'everything is delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(reordered(), overlapped(), lost());
    },
  },
  {
    id: 'O5.one-partition-many-keys',
    guarantees: ['O5', 'O1', 'O4'],
    title: 'Keys that share one partition are handled side by side.',
    needs: { 'order.key': true },
    cost: 'quick',
    declinedBy: ({ order }) =>
      order.key.partitions === 'counted' ? null : 'the broker orders by key without partitions that could be counted',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders], config: withPartitions(t, orders, 1) });
      // Each handler waits for seven others: only side by side can they end.
      const company = gate();
      const together = new Set<string | null>();
      const consumer = await t.consume(bus, orders, { group, concurrency: 16 }, async ({ key }) => {
        together.add(key);
        if (together.size >= 8) company.open();
        await company.opened;
      });
      await t.load(bus, orders, { keys: 10, each: 5 });
      await t.until(() => together.size >= 8, 'eight keys of one partition are handled at once', { total: 10_000 });
      await t.until(() => consumer.distinct >= 50, 'everything is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(new Set(t.history.arrivals.map((one) => one.partition)).size, 1, 'partitions');
      return t.judge(reordered(), overlapped(), lost());
    },
  },
];
