import type { StartPosition } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { comparePositions } from '../../checkers/positions.ts';
import { duplicated, guard, lost, unexpected } from '../../checkers/index.ts';
import { once } from '../repeats.ts';

export const starts: readonly ConformanceCase[] = [
  {
    id: 'D7.held',
    guarantees: ['D7', 'D1'],
    title:
      "Start 'held', the default: a provisioned group gets all that is held for it, and goes on where it was when it comes back.",
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 50 });
      const first = await t.consume(bus, orders, { group });
      await t.until(() => first.returned >= 50, 'the first 50 are handled');
      await t.sentinel(bus, orders, [first]);
      await first.close();
      await t.load(bus, orders, { each: 50 });
      // Whatever it asks for now: the group exists, so it goes on.
      const second = await t.consume(bus, orders, { group, start: 'latest' });
      await t.until(() => second.distinct >= 50, 'the other 50 are handled');
      await t.sentinel(bus, orders, [second]);
      t.equal(
        second.deliveries.every(({ seq }) => (seq ?? 0) > 50),
        true,
        'a returning group goes on where it was',
      );
      return t.judge(lost({ since: 'all' }), duplicated({ forbidden: once(t) }), guard({ confirmed: 100 }));
    },
  },
  {
    id: 'D7.latest',
    guarantees: ['D7'],
    title: "Start 'latest': a new group gets what is published from its subscribe on, and nothing from before.",
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 50 });
      const consumer = await t.consume(bus, orders, { group: t.group('latest'), start: 'latest' });
      await t.load(bus, orders, { each: 50 });
      await t.until(() => consumer.distinct >= 50 && other.distinct >= 100, 'what came after is delivered');
      await t.sentinel(bus, orders, [consumer, other]);
      const early = consumer.deliveries.filter(({ seq }) => (seq ?? 0) <= 50).length;
      t.equal([consumer.count, early], [50, 0], 'handler runs, and those with messages from before');
      return t.judge(lost({ window: t.supports.deliver.fanout.window }), unexpected(), guard({ confirmed: 100 }));
    },
  },
  {
    id: 'D7.latest-from-the-provision',
    guarantees: ['D7', 'D1'],
    title: "Start 'latest' of a group that was provisioned counts from then, not from its first subscribe.",
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('latest');
      const config = {
        topics: { [orders.name]: { groups: [group] } },
        subscriptions: { [`${orders.name}/${group}`]: { start: 'latest' as const } },
      };
      const early = await t.connect({
        topics: [orders],
        config: { topics: { [orders.name]: { groups: [t.group('other')] } } },
      });
      await t.load(early, orders, { each: 30 });
      const bus = await t.connect({ topics: [orders], config });
      await t.pass(t.supports.deliver.fanout.window);
      await t.load(bus, orders, { each: 30 });
      const consumer = await t.consume(bus, orders, { group });
      await t.load(bus, orders, { each: 30 });
      await t.until(() => consumer.distinct >= 60, 'what came after the provision is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(
        consumer.deliveries.filter(({ seq }) => (seq ?? 0) <= 30).length,
        0,
        'messages from before the provision',
      );
      return t.judge(lost({ groups: [group], window: t.supports.deliver.fanout.window }), guard({ confirmed: 90 }));
    },
  },
  {
    id: 'D7.no-hole-under-flow',
    guarantees: ['D7', 'D1'],
    title: 'Of a flow that goes on while a group is made, the group gets a tail without a hole.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const producer = await t.connect({ topics: [orders] });
      const keep = await t.consume(producer, orders, { group: t.group('keep') });
      const stop = new AbortController();
      // One after another, so that number follows number at the broker too.
      const flow = t.load(producer, orders, {
        each: Number.POSITIVE_INFINITY,
        concurrency: 1,
        gap: 1,
        signal: stop.signal,
      });
      await t.until(() => keep.distinct >= 50, 'the flow has begun');
      const bus = await t.connect();
      const consumer = await t.consume(bus, orders, { group: t.group('latest'), start: 'latest' });
      await t.until(() => consumer.distinct >= 200, 'the new group has 200');
      stop.abort();
      const total = (await flow).length;
      await t.until(() => keep.distinct >= total, 'the other group has all');
      await t.sentinel(producer, orders, [consumer, keep]);
      const seqs = consumer.deliveries.map(({ seq }) => seq ?? 0).toSorted((a, b) => a - b);
      const first = seqs[0] ?? 0;
      t.ok(first > 1, 'the group began in the middle of the flow');
      t.equal(
        seqs,
        Array.from({ length: total - first + 1 }, (_, index) => first + index),
        'numbers that the new group got',
      );
      return t.judge(lost({ window: t.supports.deliver.fanout.window }), unexpected(), guard({ confirmed: 200 }));
    },
  },
  from('earliest', (t) => t.pass(0).then(() => 'earliest'), 1),
  from(
    'time',
    async (t) => {
      await t.pass(1_000); // clocks of the broker and of this process may differ by less than this
      const middle = new Date();
      await t.pass(1_000);
      return { time: middle.getTime() };
    },
    61,
  ),
  {
    id: 'D7.position',
    guarantees: ['D7', 'D8'],
    title: 'Start at a position: the message at that position is the first that the new group gets.',
    needs: { 'deliver.replay': true },
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 60 });
      const outcomes = await t.load(bus, orders, { each: 60 });
      await t.until(() => other.returned >= 120, 'another group has settled all');
      const position: Record<string, string> = {};
      for (const outcome of outcomes) {
        if (outcome.status !== 'confirmed' || outcome.position === null) continue;
        for (const [partition, at] of Object.entries(outcome.position))
          if (position[partition] === undefined || comparePositions(at, position[partition]) < 0)
            position[partition] = at;
      }
      if (Object.keys(position).length === 0) t.inconclusive('the broker said no positions of what it had confirmed');
      const consumer = await t.consume(bus, orders, { group: t.group('positioned'), start: { position } });
      await t.until(() => consumer.distinct >= 60, 'the second half is delivered');
      await t.sentinel(bus, orders, [consumer]);
      const known = consumer.deliveries.filter(
        ({ partition }) => partition !== null && position[partition] !== undefined,
      );
      t.equal(known.filter(({ seq }) => (seq ?? 0) <= 60).length, 0, 'messages from before the position');
      t.equal(known.filter(({ seq }) => (seq ?? 0) > 60).length, 60, 'messages from the position on');
      return t.judge(duplicated({ forbidden: once(t) }), guard({ confirmed: 120 }));
    },
  },
  {
    id: 'D7.address',
    guarantees: ['D7'],
    title: 'A group mapped to an existing one by its address goes on where that was.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const [old, renamed] = [t.group('old'), t.group('renamed')];
      // A group whose own name at the broker is given, then another that is mapped to it.
      const address = t.address(old);
      const subscriptions = { [`${orders.name}/${old}`]: { address }, [`${orders.name}/${renamed}`]: { address } };
      // Publishers know it, too: where a group is a queue, they may have to send to it.
      const bus = await t.connect({ topics: [orders], config: { subscriptions } });
      const before = await t.consume(bus, orders, { group: old });
      await t.load(bus, orders, { each: 40 });
      await t.until(() => before.returned >= 40, 'the old group has handled 40');
      await t.sentinel(bus, orders, [before]);
      await before.close();
      await t.load(bus, orders, { each: 40 });
      const after = await t.consume(bus, orders, { group: renamed });
      await t.until(() => after.distinct >= 40, 'the other 40 are handled');
      await t.sentinel(bus, orders, [after]);
      t.equal(
        after.deliveries.every(({ seq }) => (seq ?? 0) > 40),
        true,
        'it goes on where the old one was',
      );
      t.equal(after.count, 40, 'handler runs');
    },
  },
];

/** 60 messages, a start, 60 more: the new group begins with number `first`, though another has settled everything. */
function from(name: string, start: (t: CaseContext) => Promise<StartPosition>, first: number): ConformanceCase {
  return {
    id: `D7.${name}`,
    guarantees: ['D7', 'D8'],
    title: `Start at ${name === 'time' ? 'a time' : 'the earliest'}: a new group gets what others have settled, from there on.`,
    needs: { 'deliver.replay': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 60 });
      const at = await start(t);
      await t.load(bus, orders, { each: 60 });
      await t.until(() => other.returned >= 120, 'another group has settled all');
      await t.sentinel(bus, orders, [other]);
      const consumer = await t.consume(bus, orders, { group: t.group('fresh'), start: at });
      await t.until(() => consumer.distinct >= 121 - first, 'what is due is delivered');
      await t.sentinel(bus, orders, [consumer]);
      const seqs = consumer.deliveries.map(({ seq }) => seq ?? 0).toSorted((a, b) => a - b);
      t.equal(
        seqs,
        Array.from({ length: 121 - first }, (_, index) => first + index),
        'numbers delivered',
      );
      return t.judge(unexpected(), duplicated({ forbidden: once(t) }), guard({ confirmed: 120 }));
    },
  };
}
