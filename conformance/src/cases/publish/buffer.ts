import { setMaxListeners } from 'node:events';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import type { CaseBus } from '../../case-types.ts';
import { guard, lost, pending, phantom } from '../../checkers/index.ts';
import { holding, Latch } from './wrapping.ts';

export const buffer: readonly ConformanceCase[] = [
  {
    id: 'P6.block',
    guarantees: ['P6'],
    title: "Over the high-water mark 'block' makes publishes wait; they go on when there is room, and none is lost.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const latch = new Latch();
      const held = holding(latch);
      const config = { publish: { bufferMessages: 10, overflow: 'block' as const } };
      const bus = await t.connect({ topics: [orders], wrap: held.wrap, config });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const said: string[] = [];
      bus.on('publish-blocked', () => said.push('blocked'));
      bus.on('publish-resumed', () => said.push('resumed'));
      const load = t.load(bus, orders, { each: 60, concurrency: 60 });
      await t.until(() => held.waiting() > 0, 'the first are on their way');
      const most = await t.settled(held.waiting, 'messages on their way');
      t.ok(most <= 10, `${most} messages were taken from a buffer of 10`);
      t.equal(said, ['blocked'], 'events while it is full');
      t.equal(t.history.of('publish.confirmed').length, 0, 'confirmed while nothing passes');
      latch.open();
      await t.within(load, 'every publish has an outcome');
      t.equal(said, ['blocked', 'resumed'], 'events when there is room again');
      const sends = t.history.of('send').filter(({ kind }) => kind === 'topic');
      t.ok(
        sends.every(({ ids }) => ids.length <= 10),
        'no call had more messages than the buffer',
      );
      await t.delivered(orders, [consumer]);
      return t.judge(lost(), pending(), guard({ confirmed: 60 }));
    },
  },
  {
    id: 'P6.reject',
    guarantees: ['P6', 'P2'],
    title: "Over the high-water mark 'reject' fails publishes at once with a typed error, and they reach nobody.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const latch = new Latch();
      const config = { publish: { bufferMessages: 10, overflow: 'reject' as const } };
      const bus = await t.connect({ topics: [orders], wrap: holding(latch).wrap, config });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const load = t.load(bus, orders, { each: 60, concurrency: 60 });
      await t.until(() => t.history.of('publish.rejected').length >= 50, '50 are rejected while nothing passes');
      latch.open();
      const outcomes = await t.within(load, 'every publish has an outcome');
      const rejected = outcomes.flatMap((one) =>
        one.status === 'confirmed' ? [] : [`${one.status} ${one.error.code}`],
      );
      t.equal(
        rejected,
        Array.from({ length: 50 }, () => 'rejected throttled'),
        'outcomes over the mark',
      );
      t.equal((await t.publish(bus, orders)).status, 'confirmed', 'a publish when there is room again');
      await t.delivered(orders, [consumer]);
      await t.straggle();
      return t.judge(phantom(), lost(), guard({ confirmed: 11, rejected: 50 }));
    },
  },
  {
    id: 'P6.bytes',
    guarantees: ['P6'],
    title: 'The buffer is bounded in bytes too; one message larger than all of it still goes, alone.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const latch = new Latch();
      const held = holding(latch);
      const config = { publish: { bufferBytes: 65_536, overflow: 'block' as const } };
      const bus = await t.connect({ topics: [orders], wrap: held.wrap, config });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const load = t.load(bus, orders, { each: 40, concurrency: 40, data: () => 'x'.repeat(10_000) });
      await t.until(() => held.waiting() > 0, 'the first are on their way');
      const most = await t.settled(held.waiting, 'messages on their way');
      t.ok(most <= 6, `${most} messages of 10,000 bytes were taken from a buffer of 65,536`);
      t.ok(bus.health().brokers['main']?.pending === 40, 'health counts those that wait');
      latch.open();
      await t.within(load, 'every publish has an outcome');
      const size = Math.min(100_000, t.supports.publish.size.text - 1_000);
      const large = await t.publish(bus, orders, null, { data: 'x'.repeat(size) });
      t.equal(large.status, 'confirmed', 'a message larger than the buffer');
      await t.delivered(orders, [consumer]);
      return t.judge(lost(), pending(), guard({ confirmed: 41 }));
    },
  },
  {
    id: 'P6.abort-frees-a-blocked-publish',
    guarantees: ['P6', 'P2'],
    title: 'A signal frees a publish that waits for room: rejected, and never sent.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const latch = new Latch();
      const config = { publish: { bufferMessages: 1, overflow: 'block' as const } };
      const bus = await t.connect({ topics: [orders], wrap: holding(latch).wrap, config });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const first = t.publish(bus, orders);
      const stop = new AbortController();
      setMaxListeners(100, stop.signal);
      const blocked = t.load(bus, orders, { each: 20, concurrency: 20, options: { signal: stop.signal } });
      await t.until(() => t.history.of('publish.start').length === 21, 'all have begun');
      stop.abort();
      const outcomes = await t.within(blocked, 'the signal frees them', 2_000);
      t.equal([...new Set(outcomes.map(({ status }) => status))], ['rejected'], 'outcomes of those that waited');
      const gone = AbortSignal.abort();
      t.equal(
        (await t.publish(bus, orders, null, { signal: gone })).status,
        'rejected',
        'a publish whose signal has fired',
      );
      latch.open();
      t.equal((await t.within(first, 'the first has an outcome')).status, 'confirmed', 'the first');
      t.equal((await t.publish(bus, orders)).status, 'confirmed', 'a publish after that');
      await t.delivered(orders, [consumer]);
      await t.straggle();
      return t.judge(phantom(), lost(), pending(), guard({ confirmed: 2, rejected: 21 }));
    },
  },
  {
    id: 'P6.no-room-within-the-timeout',
    guarantees: ['P6', 'P2'],
    title: 'A publish that finds no room within the publish timeout ends rejected, not open.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const latch = new Latch();
      const config = { publish: { bufferMessages: 5, timeout: '1s' as const } };
      const bus = await t.connect({ topics: [orders], wrap: holding(latch).wrap, config });
      const began = t.now();
      const load = t.load(bus, orders, { each: 30, concurrency: 30 });
      const outcomes = await t.within(load, 'every publish has an outcome');
      t.ok(t.now() - began >= 999, 'none of them gave up before its time');
      t.equal(
        outcomes.some(({ status }) => status === 'confirmed'),
        false,
        'something was confirmed while nothing passes',
      );
      const rejected = outcomes.filter(({ status }) => status === 'rejected').length;
      t.ok(rejected >= 25, `only ${rejected} of the 25 without room ended rejected`);
      latch.open();
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.publish(bus, orders);
      await t.delivered(orders, [consumer]);
      await t.straggle();
      return t.judge(phantom(), pending(), guard({ confirmed: 1, rejected: 25 }));
    },
  },
  {
    id: 'P6.slow-broker',
    guarantees: ['P6', 'F6'],
    title: 'With a slow broker the buffer stays within its bound, publishers wait, and nothing is lost.',
    cost: 'fault',
    faults: ['slow'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const config = { publish: { bufferMessages: 50 } };
      const bus = await t.connect({ topics: [orders], config });
      await t.load(bus, orders, { each: 20 });
      const heal = await t.fault.slow(50);
      let blocked = 0;
      bus.on('publish-blocked', () => (blocked += 1));
      await t.load(bus, orders, { each: 1_000, concurrency: 400 });
      await heal();
      t.ok(blocked > 0, 'no publisher had to wait');
      const most = Math.max(...t.history.of('send').map(({ ids }) => ids.length));
      t.ok(most <= 50, `a call had ${most} messages, more than the buffer`);
      await t.drainAll(orders, [group]);
      return t.judge(lost({ since: 'all' }), pending(), guard({ confirmed: 1_020, faults: 1 }));
    },
  },
];

/** Counts of what a bus has dropped for a topic, by reason. */
export function dropsOf(bus: CaseBus, topic: { readonly name: string }): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(bus.health().dropped).flatMap(([what, count]) =>
      what.startsWith(`${topic.name} `) ? [[what.slice(topic.name.length + 1), count]] : [],
    ),
  );
}

/** The numbers that a subscription has handed to its handler, in order of number. */
export function numbers(consumer: {
  readonly deliveries: readonly { readonly seq: number | null }[];
}): (number | null)[] {
  return consumer.deliveries.map(({ seq }) => seq).toSorted((a, b) => (a ?? 0) - (b ?? 0));
}

/** A stamped payload with this number. */
export function numbered(t: CaseContext, seq: number): { run: string; case: string; key: null; seq: number } {
  return { run: t.run, case: t.id, key: null, seq };
}
