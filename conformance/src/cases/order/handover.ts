import type { CaseBus, CaseHandler, Consumer, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { gate } from '../gate.ts';

const needs = { 'order.key': true } as const;
const keys = 24;

export const orderAcrossHandOver: readonly ConformanceCase[] = [
  {
    id: 'O3.joins-and-leaves',
    guarantees: ['O3', 'O1', 'L2'],
    title:
      'While consumers join and leave in order, no message overtakes another of its key, and no two are handled at once.',
    needs,
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumers: (Consumer & { bus: CaseBus })[] = [];
      const done = new Set<string>();
      const join = async (): Promise<void> => {
        const own = await t.connect({ topics: [orders] });
        // Slower than they come, so that there is always one behind that could overtake; a few outlast a hasty hand-over.
        const consumer = await t.consume(own, orders, { group, concurrency: 8 }, async ({ id }) => {
          await t.pass(t.random.chance(0.1) ? 80 : t.random.int(6, 12));
          done.add(id);
        });
        consumers.push(Object.assign(consumer, { bus: own }));
      };
      await join();
      const stop = new AbortController();
      const flow = t.load(bus, orders, { keys: 12, each: Number.POSITIVE_INFINITY, gap: 1, signal: stop.signal });
      const total = (): number => consumers.reduce((sum, one) => sum + one.count, 0);
      const progress = async (what: string): Promise<void> => {
        const from = total();
        await t.until(() => total() >= from + 100, what);
      };
      await progress('one consumer works');
      await join();
      await progress('two consumers work');
      await join();
      await progress('three consumers work');
      const spread = t.supports.order.spread.by !== 'refused';
      if (spread) await t.until(() => consumers.every((one) => one.count > 0), 'each of three consumers has its share');
      await t.within(consumers[0]?.close() ?? Promise.resolve(), 'the first consumer leaves');
      await progress('two consumers go on');
      await join();
      await t.within(consumers[1]?.bus.close() ?? Promise.resolve(), "the second consumer's bus ends");
      await progress('two consumers go on again');
      stop.abort();
      const sent = (await flow).length;
      const living = consumers.slice(2);
      await t.until(() => done.size >= sent, 'everything is handled');
      await t.sentinel(bus, orders, living);
      return t.judge(reordered(), overlapped(), duplicated(), lost({ handled: true }), guard({ confirmed: 500 }));
    },
  },
  {
    id: 'O3.hand-over-waits-for-handlers',
    guarantees: ['O3', 'O1'],
    title: 'A consumer that joins gets no message of a key that another is still handling.',
    needs,
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const held = gate();
      const done = new Set<string>();
      const handler: CaseHandler<Stamped> = async ({ id }) => {
        await held.opened;
        done.add(id);
      };
      const old = await t.consume(await t.connect({ topics: [orders] }), orders, { group, concurrency: keys }, handler);
      await t.load(bus, orders, { keys, each: 4 });
      await t.until(() => old.running === keys, 'the first message of each key is being handled');
      const joined = await t.consume(
        await t.connect({ topics: [orders] }),
        orders,
        { group, concurrency: keys },
        handler,
      );
      await t.settled(() => joined.count + old.count, 'the deliveries');
      t.equal(joined.count, 0, 'deliveries to the new consumer while the old one handles every key');
      held.open();
      await t.until(() => done.size >= keys * 4, 'everything is handled');
      await t.sentinel(bus, orders, [old, joined]);
      return t.judge(reordered(), overlapped(), duplicated(), lost(), guard({ confirmed: keys * 4 }));
    },
  },
  {
    id: 'O3.drain-then-take-over',
    guarantees: ['O3', 'L2', 'R3'],
    title: 'When a consumer is stopped, the next goes on behind its last handled message of each key, and not before.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const held = gate();
      const done = new Set<string>();
      const handler: CaseHandler<Stamped> = async ({ id }) => {
        await held.opened;
        done.add(id);
      };
      const own = await t.connect({ topics: [orders] });
      const old = await t.consume(own, orders, { group, concurrency: keys / 2 }, handler);
      const next = await t.consume(
        await t.connect({ topics: [orders] }),
        orders,
        { group, concurrency: keys },
        handler,
      );
      await t.load(bus, orders, { keys, each: 4 });
      const running = (): number => old.running + next.running;
      await t.until(() => old.running > 0, 'the consumer that is to be stopped has handlers that run');
      await t.settled(running, 'the handlers');
      t.ok(old.running > 0, 'the consumer that is stopped has handlers that run');
      const closing = t.track('close', old.close());
      const before = old.count;
      await t.settled(running, 'the handlers');
      held.open();
      await t.within(closing, 'the old consumer drains');
      await t.until(() => done.size >= keys * 4, 'everything is handled');
      await t.sentinel(bus, orders, [next]);
      t.equal(old.count, before, 'handlers that the old consumer had started');
      return t.judge(attempts(), reordered(), overlapped(), duplicated(), lost(), guard({ confirmed: keys * 4 }));
    },
  },
];
