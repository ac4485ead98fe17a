import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost, overlapped, resettled, unexpected } from '../../checkers/index.ts';
import { blockedSince, mustRun } from '../pace.ts';
import { once } from '../repeats.ts';

export const sharing: readonly ConformanceCase[] = [
  {
    id: 'D3.the-sum-is-exact',
    guarantees: ['D3', 'D1'],
    title: 'Fifty consumers of one group on several connections handle each message once.',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const blocked = blockedSince();
      const buses = await Promise.all(Array.from({ length: 5 }, () => t.connect({ topics: [orders] })));
      const consumers = await Promise.all(
        buses.flatMap((bus) => Array.from({ length: 10 }, () => t.consume(bus, orders, { group, concurrency: 4 }))),
      );
      const total = 3_000;
      const loads = buses.map((bus) => t.load(bus, orders, { each: total / buses.length }));
      await Promise.all(loads);
      const count = (): number => consumers.reduce((sum, consumer) => sum + consumer.count, 0);
      await t.until(() => count() >= total, 'all are delivered');
      const [bus] = buses;
      if (bus !== undefined) await t.sentinel(bus, orders, consumers);
      const repeats = t.supports.settle.repeats;
      // Fifty consumers in one process: while it is blocked, a broker may take some of them for dead.
      if (count() > total) mustRun(t.supports.lease.default, blocked);
      if (repeats === 'never') t.equal(count(), total, 'handler runs of all together');
      return t.judge(
        lost(),
        unexpected(),
        duplicated({ forbidden: once(t) }),
        resettled({ repeats }),
        guard({ confirmed: total }),
      );
    },
  },
  {
    id: 'D3.every-member-works',
    guarantees: ['D3'],
    title: 'Every member of a group gets a share of the messages.',
    cost: 'quick',
    declinedBy: ({ settle }) =>
      settle.mode === 'individual' ? null : 'settle.mode is cumulative: which member reads depends on the partitions',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      let free!: () => void;
      const gate = new Promise<void>((resolve) => (free = resolve));
      const options = { group, concurrency: 1, prefetch: 1 };
      const consumers = await Promise.all(
        Array.from({ length: 3 }, async () =>
          t.consume(await t.connect({ topics: [orders] }), orders, options, () => gate),
        ),
      );
      const bus = await t.connect();
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumers.every((consumer) => consumer.running === 1), 'every member has a message');
      free();
      const count = (): number => consumers.reduce((sum, consumer) => sum + consumer.distinct, 0);
      await t.until(() => count() >= 20, 'all are delivered');
      await t.sentinel(bus, orders, consumers);
      return t.judge(lost(), overlapped(), guard({ confirmed: 20 }));
    },
  },
  {
    id: 'D3.partitions-are-spread',
    guarantees: ['D3', 'O5'],
    title: 'Every member of an ordered group owns a share of the keys.',
    needs: { 'order.key': true, 'order.spread': true },
    by: 'order.spread',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const consumers = await Promise.all(
        Array.from({ length: 3 }, async () => t.consume(await t.connect({ topics: [orders] }), orders, { group })),
      );
      const bus = await t.connect();
      // Shares are settled some time after the last member has joined; traffic goes on until then.
      let rounds = 0;
      await t.until(async () => {
        const before = consumers.map(({ count }) => count);
        await t.load(bus, orders, { keys: 60, each: 1 });
        rounds += 1;
        await t.until(
          () => consumers.reduce((sum, one) => sum + one.distinct, 0) >= 60 * rounds,
          'a round is delivered',
        );
        return consumers.every(({ count }, index) => count > (before[index] ?? 0));
      }, 'every member gets a share');
      await t.sentinel(bus, orders, consumers);
      return t.judge(overlapped(), lost(), guard({ confirmed: 60 }));
    },
  },
  {
    id: 'D3.never-two-at-once',
    guarantees: ['D3'],
    title: 'No message is handled by two consumers while the first one is alive, and no first delivery has attempt 2.',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const consumers = await Promise.all(
        Array.from({ length: 4 }, async () =>
          t.consume(await t.connect({ topics: [orders] }), orders, { group }, ({ payload }) =>
            t.pass(payload.seq % 50),
          ),
        ),
      );
      const bus = await t.connect();
      await t.load(bus, orders, { each: 400, gap: 1 });
      const count = (): number => consumers.reduce((sum, consumer) => sum + consumer.distinct, 0);
      await t.until(() => count() >= 400, 'all are delivered');
      await t.sentinel(bus, orders, consumers);
      const { settle } = t.supports;
      if (settle.deliveryCount.by !== 'refused' && settle.repeats === 'never')
        for (const { deliveryCount, nth, id } of consumers.flatMap(({ deliveries }) => deliveries))
          t.equal(deliveryCount, nth, `the broker's count of arrivals of ${id}`);
      return t.judge(overlapped(), attempts(), duplicated({ forbidden: once(t) }), lost(), guard({ confirmed: 400 }));
    },
  },
  {
    id: 'D3.second-delivery-is-harmless',
    guarantees: ['D3', 'R9', 'R1'],
    title: 'A delivery that comes a second time is handled or settled, disturbs no other, and costs no attempt.',
    cost: 'fault',
    faults: ['duplicate'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group });
      await t.load(bus, orders, { each: 20 });
      const heal = await t.fault.duplicate(10);
      await t.load(bus, orders, { each: 100 });
      await t.until(() => consumer.distinct >= 120, 'all are delivered');
      await heal();
      await t.sentinel(bus, orders, [consumer]);
      await consumer.close();
      const after = await t.consume(bus, orders, { group });
      await t.sentinel(bus, orders, [after]);
      t.equal(after.count, 0, 'messages that were left over');
      return t.judge(attempts(), duplicated(), lost(), guard({ confirmed: 120, faults: 1 }));
    },
  },
];
