import { fixed, topic } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import type { Stamped } from '../../case-types.ts';
import { attempts, duplicated, guard, lost, unexpected } from '../../checkers/index.ts';
import { once } from '../repeats.ts';

const needs = { 'deliver.fanout': true } as const;

export const fanOut: readonly ConformanceCase[] = [
  {
    id: 'D2.each-group-gets-all',
    guarantees: ['D2', 'D1'],
    title: 'Two groups each get all messages; a third one that does not read keeps its backlog.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const idle = t.group('idle');
      await t.provision(orders, [idle]);
      const bus = await t.connect({ topics: [orders] });
      const consumers = [
        await t.consume(bus, orders, { group: t.group('inventory') }),
        await t.consume(await t.connect(), orders, { group: t.group('fraud') }),
      ];
      await t.load(bus, orders, { each: 300 });
      await t.until(() => consumers.every((one) => one.distinct >= 300), 'both groups have all');
      const late = await t.consume(bus, orders, { group: idle });
      await t.delivered(orders, [late]);
      await t.sentinel(bus, orders, [...consumers, late]);
      return t.judge(
        lost(),
        unexpected(),
        duplicated({ forbidden: once(t) }),
        guard({ confirmed: 300, returned: 900 }),
      );
    },
  },
  {
    id: 'D2.one-group-name-on-two-topics',
    guarantees: ['D2'],
    title: 'Groups of one name on two topics do not mix.',
    cost: 'quick',
    run: async (t) => {
      const [orders, payments] = [t.topic('orders'), t.topic('payments')];
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders, payments] });
      const consumers = [await t.consume(bus, orders, { group }), await t.consume(bus, payments, { group })] as const;
      await Promise.all([t.load(bus, orders, { each: 150 }), t.load(bus, payments, { each: 100 })]);
      await t.until(() => consumers[0].distinct >= 150 && consumers[1].distinct >= 100, 'both topics are complete');
      await t.sentinel(bus, orders, [consumers[0]]);
      await t.sentinel(bus, payments, [consumers[1]]);
      t.equal([consumers[0].distinct, consumers[1].distinct], [150, 100], 'messages of each');
      return t.judge(lost(), unexpected(), guard({ confirmed: 250 }));
    },
  },
  {
    id: 'D2.required-groups',
    guarantees: ['D2', 'D1'],
    title: 'Groups named in the configuration get their backlog when their first consumer comes.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const groups = [t.group('first'), t.group('second'), t.group('third')];
      const config = { topics: { [orders.name]: { groups } } };
      const bus = await t.connect({ topics: [orders], config });
      await t.load(bus, orders, { each: 60 });
      for (const group of groups) {
        const consumer = await t.consume(await t.connect(), orders, { group });
        await t.delivered(orders, [consumer]);
        await consumer.close();
      }
      return t.judge(
        lost({ since: 'all' }),
        duplicated({ forbidden: once(t) }),
        guard({ confirmed: 60, returned: 180 }),
      );
    },
  },
  retrying('in-place'),
  retrying('requeue'),
  {
    id: 'D2.prefixes-are-apart',
    guarantees: ['D2'],
    title: 'Two prefixes on one broker are two worlds: the same topics and groups, no message in common.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const worlds = await Promise.all(
        ['staging', 'prod', null].map(async (name) => {
          const prefix = name === null ? {} : { prefix: t.group(name) };
          const bus = await t.connect({ topics: [orders], config: prefix });
          const seen: unknown[] = [];
          const consumer = await t.consume(bus, orders, { group }, ({ payload }) => void seen.push(payload.data));
          return { name, bus, seen, consumer };
        }),
      );
      await Promise.all(worlds.map(({ bus, name }) => t.load(bus, orders, { each: 50, data: () => name })));
      await t.until(() => worlds.every(({ seen }) => seen.length >= 50), 'each has its messages');
      for (const { bus, consumer } of worlds) await t.sentinel(bus, orders, [consumer]);
      for (const { name, seen } of worlds)
        t.equal([seen.length, ...new Set(seen)], [50, name], `what the world '${name ?? 'without prefix'}' got`);
    },
  },
  {
    id: 'D2.subscribing-twice',
    guarantees: ['D2', 'D3'],
    title: 'Two subscriptions of one group on one connection share its messages.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const again = topic<Stamped>(orders.name);
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumers = [await t.consume(bus, orders, { group }), await t.consume(bus, again, { group })] as const;
      await t.load(bus, orders, { each: 200 });
      const count = (): number => consumers[0].count + consumers[1].count;
      await t.until(() => count() >= 200, 'all are delivered');
      await t.sentinel(bus, orders, consumers);
      t.equal(count(), 200, 'handler runs of both together');
      return t.judge(lost(), duplicated({ forbidden: once(t) }), guard({ confirmed: 200 }));
    },
  },
];

/** A group inbox reaches its group only: what one group tries again, another does not see. */
function retrying(mode: 'in-place' | 'requeue'): ConformanceCase {
  return {
    id: `D2.retries-stay-in-their-group-${mode}`,
    guarantees: ['D2', 'R7'],
    title: `What one group retries (${mode}) and dead-letters, another group sees once.`,
    needs: mode === 'requeue' ? { 'deliver.fanout': true, requeue: true } : needs,
    by: 'deliver.fanout',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const retry = { attempts: 3, backoff: fixed('50ms'), mode };
      let dead = 0;
      bus.on('dead-lettered', () => (dead += 1));
      const failing = await t.consume(bus, orders, { group: t.group('failing'), retry }, ({ payload }) => {
        if (payload.seq % 4 === 0) throw new Error('it fails');
      });
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 80 });
      await t.until(() => dead >= 20, '20 are dead-lettered');
      await t.until(() => other.distinct >= 80 && failing.distinct >= 80, 'both groups have all');
      await t.sentinel(bus, orders, [failing, other]);
      t.equal(other.count, 80, 'handler runs of the other group');
      return t.judge(
        attempts({ expected: 3 }),
        duplicated({ forbidden: once(t) }),
        unexpected(),
        lost(),
        guard({ confirmed: 80, threw: 60, returned: 140 }),
      );
    },
  };
}
