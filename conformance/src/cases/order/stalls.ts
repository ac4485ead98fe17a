import { fixed } from '@waybill/core';
import { partitionOf } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { Consumer } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { gate } from '../gate.ts';
import { heard } from '../retry/letters.ts';

const needs = { 'order.key': true } as const;

export const slowKeys: readonly ConformanceCase[] = [
  {
    id: 'O4.others-keep-their-rate',
    guarantees: ['O4', 'O2'],
    title: 'While one key is stuck and another fails, the others keep at least 80 % of their rate.',
    needs,
    cost: 'slow',
    run: async (t) => {
      // In turns, and the best of each: what core can do, with the least of what the machine did meanwhile.
      let [alone, beside] = [0, 0];
      let rounds = 0;
      for (; rounds < 3 || (rounds < 8 && beside < 0.8 * alone); rounds++) {
        alone = Math.max(alone, await rate(t, false));
        beside = Math.max(beside, await rate(t, true));
      }
      const ratio = beside / alone;
      t.measure('rateAlone', alone);
      t.measure('rateBesideStuckKeys', beside);
      t.ok(ratio >= 0.8, `the other keys' rate beside stuck keys is ${(100 * ratio).toFixed(0)} % of their rate alone`);
      return t.judge(reordered(), overlapped(), guard({ confirmed: 2 * rounds * keys * each }));
    },
  },
  {
    id: 'O4.held-back-is-reported',
    guarantees: ['O4'],
    title: 'When messages behind a stuck key fill half the prefetch, an event says so, and only that partition waits.',
    needs,
    cost: 'quick',
    declinedBy: ({ order, receive }) =>
      order.key.partitions !== 'counted'
        ? 'the broker orders by key without partitions that could be named'
        : receive.credit === 'partition'
          ? 'receive.credit is per partition: what waits behind one key never fills the prefetch of the others'
          : null,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const partitions = 4;
      const config = { topics: { [orders.name]: { partitions } } };
      const bus = await t.connect({ topics: [orders], config });
      const events = heard(bus, 'held-back');
      const prefetch = Math.max(40, 2 * t.supports.receive.batch);
      const held = gate();
      const consumer = await t.consume(bus, orders, { group, concurrency: 8, prefetch }, ({ key, payload }) =>
        key === 'stuck' && payload.seq === 1 ? held.opened : undefined,
      );
      const home = partitionOf('stuck', partitions);
      const free = Array.from({ length: 40 }, (_, index) => `free${index}`).filter(
        (key) => partitionOf(key, partitions) !== home,
      );
      // Without a way to leave a partition out, all that is left for others is the other half of the prefetch.
      const behind = t.supports.receive.skip ? 2 * prefetch + 10 : Math.ceil(0.7 * prefetch);
      await publishAll(
        t,
        bus,
        orders,
        Array.from({ length: behind }, () => 'stuck'),
      );
      await t.until(() => consumer.running === 1, 'the stuck key is being handled');
      await t.until(() => events.length > 0, 'the event comes');
      await t.settled(() => consumer.subscription.held, 'what is held'); // by now all of the prefetch, if that were allowed
      await publishAll(t, bus, orders, [...free, ...free, ...free]);
      await t.until(() => consumer.distinct >= 1 + 3 * free.length, 'the other partitions go on');
      t.equal(consumer.running, 1, 'handlers that run');
      for (const event of events) {
        t.equal(
          [event.topic, event.group, event.partition],
          [orders.name, group, home],
          'the place that the event names',
        );
        t.ok(
          event.waiting > prefetch / 2,
          `waiting (${event.waiting}) is more than half of the prefetch of ${prefetch}`,
        );
      }
      held.open();
      await t.until(() => consumer.distinct >= behind + 3 * free.length, 'the stuck key goes on');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(reordered(), overlapped(), lost());
    },
  },
  {
    id: 'O4.stuck-key-in-the-same-partition',
    guarantees: ['O4', 'O5'],
    title: 'A stuck key does not stop the other keys of its own partition.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const counted = t.supports.order.key.partitions === 'counted';
      const config = counted ? { topics: { [orders.name]: { partitions: 1 } } } : {};
      const bus = await t.connect({ topics: [orders], config });
      const held = gate();
      const consumer = await t.consume(bus, orders, { group, concurrency: 8 }, ({ key, payload }) =>
        key === 'k1' && payload.seq === 2 ? held.opened : undefined,
      );
      await t.load(bus, orders, { keys: 10, each: 8 });
      const others = 9 * 8;
      await t.until(() => consumer.returned >= others + 1, 'all other keys are done while one is stuck', {
        total: 10_000,
      });
      t.equal(consumer.running, 1, 'handlers that run');
      held.open();
      await t.until(() => consumer.distinct >= 10 * 8, 'the stuck key goes on');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(reordered(), overlapped(), lost());
    },
  },
];

const [keys, each] = [30, 6];

/** Messages per second of keys whose handlers take 100 ms, so that little of it is work, alone or beside a stuck key and a failing one. */
async function rate(t: CaseContext, beside: boolean): Promise<number> {
  const orders = t.topic('orders', { ordering: 'key' });
  const group = t.group('inventory');
  const bus = await t.connect({ topics: [orders] });
  const held = gate();
  const retry = { attempts: 50, backoff: fixed(200) };
  let over = false;
  const consumer: Consumer = await t.consume(bus, orders, { group, concurrency: 40, retry }, async ({ key }) => {
    if (key === 'stuck') await held.opened;
    else if (key === 'failing' && !over) throw new Error('not yet');
    else await t.pass(100);
  });
  if (beside) {
    await publishAll(t, bus, orders, ['stuck', 'failing', 'stuck', 'failing']);
    await t.until(() => consumer.running === 1 && consumer.threw > 0, 'one key is stuck, one fails');
  }
  const [count, began] = [consumer.returned, t.now()];
  await t.load(bus, orders, { keys, each });
  await t.until(() => consumer.returned - count >= keys * each, 'the other keys are done');
  const took = t.now() - began;
  over = true;
  held.open();
  await t.sentinel(bus, orders, [consumer]);
  await bus.close();
  return (1_000 * keys * each) / took;
}

async function publishAll(
  t: CaseContext,
  bus: Parameters<CaseContext['publish']>[0],
  topic: Parameters<CaseContext['publish']>[1],
  list: readonly string[],
): Promise<void> {
  await Promise.all(list.map((key) => t.publish(bus, topic, key)));
}
