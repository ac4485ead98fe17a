import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { concurrency, guard, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

export const fairness: readonly ConformanceCase[] = [
  {
    id: 'F3.stuck-neighbour-does-not-slow',
    guarantees: ['F3'],
    title: 'A stuck subscription does not slow another on the same connection.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const each = 400;
      const [stuck, busy] = [t.topic('stuck'), t.topic('busy')];
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [stuck, busy] });
      const group = t.group('inventory');
      const consumer = await t.consume(bus, busy, { group, concurrency: 8 });
      /** Milliseconds until as many more have been handled. */
      const timed = async (): Promise<number> => {
        const began = t.now();
        const wanted = consumer.distinct + each;
        await t.load(bus, busy, { each });
        await t.until(() => consumer.distinct === wanted, `${each} are handled`, { idle: 5_000 });
        return t.now() - began;
      };
      await timed(); // warm
      const alone = await timed();
      const other = await t.consume(bus, stuck, { group, concurrency: 4, prefetch: 8, ...shortDrain }, () =>
        gate.enter(),
      );
      await t.load(bus, stuck, { each: 50 });
      await t.until(() => other.running === 4, 'the other is stuck');
      const beside = await timed();
      t.measure('besideStuckRatio', beside / alone);
      t.equal(other.returned, 0, 'handler runs that the stuck one has ended');
      const most = 4 * alone + t.scaled(1_000);
      t.ok(beside <= most, `${each} messages took ${beside.toFixed(0)} ms beside it, ${alone.toFixed(0)} ms alone`);
      gate.open();
      await t.until(() => other.distinct === 50, 'the stuck one goes on');
      return t.judge(
        lost(),
        concurrency({ limit: 4, groups: [group], topic: stuck }),
        guard({ confirmed: 3 * each + 50 }),
      );
    },
  },
  {
    id: 'F3.stuck-group-does-not-slow-its-topic',
    guarantees: ['F3', 'D2'],
    title: 'A stuck group does not slow another group of the same topic.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const stuck = { group: t.group('stuck'), concurrency: 2, prefetch: 4, ...shortDrain };
      const slow = await t.consume(bus, orders, stuck, () => gate.enter());
      const busy = await t.consume(bus, orders, { group: t.group('busy') });
      await t.load(bus, orders, { each: 500 });
      await t.until(() => busy.distinct === 500, 'the other group gets all', { idle: 5_000 });
      t.equal(slow.returned, 0, 'handler runs that the stuck group has ended');
      gate.open();
      await t.until(() => slow.distinct === 500, 'then the stuck one does', { idle: 5_000 });
      return t.judge(lost(), guard({ confirmed: 500, returned: 1_000 }));
    },
  },
  {
    id: 'F3.twenty-subscriptions-are-fair',
    guarantees: ['F3'],
    title: 'Twenty subscriptions of one connection share it: none waits until another has finished.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const each = 40;
      const topics = Array.from({ length: 20 }, (_, index) => t.topic(`t${index + 1}`));
      const group = t.group('inventory');
      for (const topic of topics) await t.provision(topic, [group]);
      const bus = await t.connect({ topics });
      // The backlog is there first, so that each could be served to its end before the next.
      await Promise.all(topics.map((topic) => t.load(bus, topic, { each })));
      const first: number[] = [];
      const last: number[] = [];
      const consumers = await Promise.all(
        topics.map((topic, index) =>
          t.consume(bus, topic, { group, concurrency: 1, prefetch: 5 }, async () => {
            first[index] ??= t.now();
            await t.pass(5);
            last[index] = t.now();
          }),
        ),
      );
      const subscribed = t.now();
      await t.until(() => consumers.every((consumer) => consumer.distinct === each), 'all are handled', {
        idle: 10_000,
      });
      await t.until(() => consumers.every((consumer) => consumer.running === 0), 'all handlers have ended');
      const latestStart = Math.max(...first);
      const earliestEnd = Math.min(...last);
      t.measure('latestStartMs', latestStart - subscribed);
      t.ok(
        latestStart < Math.max(earliestEnd, subscribed + t.scaled(250)),
        `one began ${(latestStart - earliestEnd).toFixed(0)} ms after another had handled all`,
      );
      return t.judge(lost(), concurrency({ limit: 1 }), guard({ confirmed: 20 * each, returned: 20 * each }));
    },
  },
];
