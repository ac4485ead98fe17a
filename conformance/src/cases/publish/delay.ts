import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { delayed, duplicated, guard, lost } from '../../checkers/index.ts';
import { blockedSince } from '../pace.ts';
import { once } from '../repeats.ts';
import { mustSurvive } from './restarts.ts';

const needs = { 'publish.delay': true } as const;

/** How late a delayed message may come, as declared. */
function allowance(t: CaseContext): () => number {
  const { lateness, granularity } = t.supports.publish.delay;
  const blocked = blockedSince();
  return () => t.scaled(lateness + granularity) + blocked();
}

export const delay: readonly ConformanceCase[] = [
  {
    id: 'P7.never-early',
    guarantees: ['P7'],
    title: 'Delayed messages come not before their time and not much later, the long ones published first.',
    needs,
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), concurrency: 50 });
      const lateness = allowance(t);
      const unit = Math.max(1, t.supports.publish.delay.granularity);
      const delays = [2_400, 1_700, 900, 350, 100, 1].map((ms) => Math.max(unit, ms));
      const publishes = delays.flatMap((ms) =>
        Array.from({ length: 15 }, () => t.publish(bus, orders, null, { delay: ms })),
      );
      const plain = t.load(bus, orders, { each: 20 });
      await Promise.all([...publishes, plain]);
      await t.until(() => consumer.distinct >= 110, 'all are delivered', { total: 30_000 });
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(
        delayed({ lateness: lateness() }),
        duplicated({ forbidden: once(t) }),
        lost(),
        guard({ confirmed: 110 }),
      );
    },
  },
  {
    id: 'P7.to-every-group',
    guarantees: ['P7', 'D2'],
    title: 'A delayed message reaches every group once, a group that reads later too.',
    needs: { 'publish.delay': true, 'deliver.fanout': true },
    by: 'publish.delay',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders');
      const lateness = allowance(t);
      const [early, late] = [t.group('early'), t.group('late')];
      await t.provision(orders, [early, late]);
      const bus = await t.connect({ topics: [orders] });
      const first = await t.consume(bus, orders, { group: early });
      await t.load(bus, orders, { each: 20, options: { delay: 1_000 } });
      await t.until(() => first.distinct >= 20, 'the early group gets all');
      const second = await t.consume(bus, orders, { group: late });
      await t.until(() => second.distinct >= 20, 'the late group gets all');
      await t.sentinel(bus, orders, [first, second]);
      return t.judge(
        delayed({ groups: [early], lateness: lateness() }),
        duplicated({ forbidden: once(t) }),
        lost({ since: 'all' }),
        guard({ confirmed: 20, returned: 40 }),
      );
    },
  },
  {
    id: 'P7.above-the-maximum',
    guarantees: ['P7', 'P5'],
    title: 'A delay above the declared maximum is refused with a typed error before anything is sent.',
    needs,
    cost: 'quick',
    declinedBy: ({ publish }) => (publish.delay.max === null ? 'publish.delay.max: any delay is taken' : null),
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const { max, granularity } = t.supports.publish.delay;
      const stamp = { run: t.run, case: t.id, key: null, seq: 1 };
      const error = await t.expectError(bus.publish(orders, stamp, { delay: (max ?? 0) + granularity }), 'unsupported');
      t.equal('outcome' in error && error.outcome, 'rejected', 'its outcome');
      t.equal(t.history.of('send').length, 0, 'sends to the broker');
    },
  },
  {
    id: 'P7.with-an-ordering-key',
    guarantees: ['P7', 'O6'],
    title: 'A delay on an ordered topic is kept where that is declared, else refused before anything is sent.',
    needs: { 'order.key': true, 'publish.delay': true },
    by: 'publish.delay',
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      await t.provision(orders, [t.group('inventory')]);
      const bus = await t.connect({ topics: [orders] });
      const stamp = { run: t.run, case: t.id, key: 'k1', seq: 1 };
      if (!t.supports.publish.delay.ordered) {
        await t.expectError(bus.publish(orders, stamp, { delay: 500 }), 'unsupported');
        t.equal(t.history.of('send').length, 0, 'sends to the broker');
        t.equal((await t.publish(bus, orders, 'k1', { delay: 0 })).status, 'confirmed', 'a delay of nothing');
        return undefined;
      }
      const lateness = allowance(t);
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      for (let round = 0; round < 5; round++) {
        await t.load(bus, orders, { keys: 4, each: 1, options: { delay: 500 } });
        await t.load(bus, orders, { keys: 4, each: 5 });
      }
      await t.until(() => consumer.distinct >= 120, 'all are delivered');
      return t.judge(delayed({ lateness: lateness() }), lost(), guard({ confirmed: 120 }));
    },
  },
  {
    id: 'P7.survives-a-restart',
    guarantees: ['P7', 'P1'],
    title: 'Delayed messages survive a restart of the broker, and still come not before their time.',
    needs,
    cost: 'fault',
    faults: ['restart'],
    run: async (t) => {
      mustSurvive(t);
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 50, options: { delay: 3_000 } });
      await t.fault.restart();
      await t.until(() => consumer.distinct >= 50, 'all are delivered', { total: 60_000 });
      const upper = t.scaled(60_000); // how long the broker takes to come back is not what is judged here
      return t.judge(delayed({ lateness: upper }), lost(), guard({ confirmed: 50, faults: 1 }));
    },
  },
];
