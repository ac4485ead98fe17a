import type { Lag, Topic } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

/** Waits until the group's lag is this; where the broker only estimates, until it is near. */
async function lagBecomes(t: CaseContext, place: Place, count: number, when: string): Promise<Lag> {
  let lag: Lag = { count: Number.NaN, age: null, exact: false };
  const near = t.supports.lag.exact ? 0 : Math.max(1, count / 4);
  await t.until(
    async () => {
      lag = await place.bus.lag(place.topic, place.group);
      return count === 0 ? lag.count === 0 : Math.abs(lag.count - count) <= near;
    },
    `the lag is ${count} ${when}`,
    { total: 10_000 },
  );
  t.equal(lag.exact, t.supports.lag.exact, 'whether the lag says it is exact');
  return lag;
}

interface Place {
  readonly bus: CaseBus;
  readonly topic: Topic<Stamped>;
  readonly group: string;
}

export const lag: readonly ConformanceCase[] = [
  {
    id: 'F5.falls-by-settling',
    guarantees: ['F5'],
    title: 'Lag is 0 for a fresh group, grows with publishes, and falls when messages are settled, not when delivered.',
    needs: { lag: true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const topic = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(topic, [group]);
      const bus = await t.connect({ topics: [topic] });
      const place = { bus, topic, group };
      t.equal((await lagBecomes(t, place, 0, 'for a fresh group')).age, null, 'the age of nothing');
      await t.load(bus, topic, { each: 20 });
      await lagBecomes(t, place, 20, 'after 20 publishes');
      const gate = new Turnstile();
      const options = { group, prefetch: 5, concurrency: 5, ...shortDrain };
      const consumer = await t.consume(bus, topic, options, () => gate.enter());
      await t.until(() => consumer.running === 5, 'five are delivered');
      await t.settled(() => consumer.count, 'deliveries');
      await lagBecomes(t, place, 20, 'while five are delivered and none settled');
      if (t.supports.lag.exact)
        t.equal((await consumer.subscription.lag()).count, 20, 'the lag as its subscription says it');
      gate.release(5);
      await t.until(() => consumer.returned === 5, 'five handlers have returned');
      await lagBecomes(t, place, 15, 'after five were settled');
      gate.open();
      await t.until(() => consumer.distinct === 20, 'all are handled');
      t.equal((await lagBecomes(t, place, 0, 'when all are settled')).age, null, 'the age when nothing waits');
      return t.judge(lost(), guard({ confirmed: 20, returned: 20 }));
    },
  },
  {
    id: 'F5.age-of-the-oldest',
    guarantees: ['F5'],
    title: 'The age in a lag is that of the oldest unsettled message, or null where the broker can not tell.',
    needs: { lag: true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const topic = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(topic, [group]);
      const bus = await t.connect({ topics: [topic] });
      const place = { bus, topic, group };
      const began = t.now();
      await t.publish(bus, topic);
      const stored = t.now();
      await t.pass(1_200);
      await t.publish(bus, topic);
      const looked = t.now();
      const { age } = await lagBecomes(t, place, 2, 'after two publishes');
      if (!t.supports.lag.age) return t.equal(age, null, 'the age where the broker can not tell');
      // Whole milliseconds, by the broker's clock.
      const [low, high] = [looked - stored - 50, t.now() - began + t.scaled(1_000)];
      t.ok(
        age !== null && age >= low && age <= high,
        `the age is ${age} ms; allowed: ${low.toFixed(0)} to ${high.toFixed(0)}`,
      );
      let first = true;
      const gate = new Turnstile();
      const consumer = await t.consume(bus, topic, { group, concurrency: 2, ...shortDrain }, (message) => {
        if (message.payload.seq === 1 && first) return (first = false);
        return gate.enter();
      });
      await t.until(() => consumer.returned === 1, 'the oldest is handled');
      const younger = await lagBecomes(t, place, 1, 'after the oldest was settled');
      const rest = t.now() - looked + t.scaled(1_000);
      t.ok(
        younger.age !== null && younger.age <= rest,
        `the age of the next is ${younger.age} ms; at most ${rest.toFixed(0)}`,
      );
      gate.open();
      await lagBecomes(t, place, 0, 'at the end');
    },
  },
  {
    id: 'F5.per-group',
    guarantees: ['F5', 'D2'],
    title: 'Each group has its own lag, and a group that does not exist has none: an error, not 0.',
    needs: { lag: true },
    cost: 'quick',
    run: async (t: CaseContext) => {
      const topic = t.topic('orders');
      const [idle, busy] = [t.group('idle'), t.group('busy')];
      await t.provision(topic, [idle, busy]);
      const bus = await t.connect({ topics: [topic] });
      const consumer = await t.consume(bus, topic, { group: busy });
      await t.load(bus, topic, { each: 12 });
      await t.until(() => consumer.distinct === 12, 'one group handles all');
      await lagBecomes(t, { bus, topic, group: busy }, 0, 'of the group that has settled all');
      await lagBecomes(t, { bus, topic, group: idle }, 12, 'of the idle group');
      await t.expectError(bus.lag(topic, t.group('nobody')), 'not-found');
      await t.expectError(bus.lag(t.topic('nowhere'), idle), 'not-found');
      await t.expectError(() => bus.lag(topic, 'No Such Name'), 'invalid');
      return t.judge(lost({ groups: [busy] }), guard({ confirmed: 12 }));
    },
  },
  {
    id: 'F5.survives-the-consumer',
    guarantees: ['F5', 'L2'],
    title: 'Lag is that of the group, with or without a consumer: what was not settled still counts.',
    needs: { lag: true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const topic = t.topic('orders');
      const group = t.group('inventory');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [topic] });
      const place = { bus, topic, group };
      const options = { group, prefetch: 6, concurrency: 6, drain: '100ms' } as const;
      const consumer = await t.consume(bus, topic, options, () => gate.enter());
      await t.load(bus, topic, { each: 10 });
      await t.until(() => consumer.running === 6, 'six are delivered');
      await consumer.close(); // their handlers outlast the drain
      await lagBecomes(t, place, 10, 'after the consumer was closed with none settled');
      gate.open();
      const next = await t.consume(bus, topic, { group });
      await t.until(() => next.distinct === 10, 'all come to the next');
      await lagBecomes(t, place, 0, 'when the next has settled all');
      return t.judge(lost({ handled: true }), guard({ confirmed: 10 }));
    },
  },
  {
    id: 'F5.survives-a-restart',
    guarantees: ['F5', 'L1'],
    title: 'Lag is the same after a restart of the broker.',
    needs: { lag: true },
    cost: 'fault',
    faults: ['restart'],
    run: async (t: CaseContext) => {
      const topic = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(topic, [group]);
      const bus = await t.connect({ topics: [topic] });
      const place = { bus, topic, group };
      await t.load(bus, topic, { each: 15 });
      await lagBecomes(t, place, 15, 'before the restart');
      await t.fault.restart();
      const other = await t.connect({ topics: [topic] });
      await lagBecomes(t, { ...place, bus: other }, 15, 'after the restart');
      const consumer = await t.consume(other, topic, { group });
      await t.until(() => consumer.distinct === 15, 'all are still there');
      await lagBecomes(t, { ...place, bus: other }, 0, 'when all are settled');
      return t.judge(lost(), guard({ confirmed: 15, faults: 1 }));
    },
  },
];
