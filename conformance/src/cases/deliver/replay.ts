import type { Position, Topic } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus, Outcome, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { comparePositions } from '../../checkers/positions.ts';
import { duplicated, guard, lost } from '../../checkers/index.ts';
import { once } from '../repeats.ts';

const needs = { 'deliver.replay': true } as const;

interface Settled {
  readonly orders: Topic<Stamped>;
  readonly bus: CaseBus;
  readonly group: string;
  readonly outcomes: readonly Outcome[];
}

/** A topic of so many messages, all settled by one group. */
async function settled(t: CaseContext, each: number): Promise<Settled> {
  const orders = t.topic('orders');
  const group = t.group('inventory');
  const bus = await t.connect({ topics: [orders] });
  const consumer = await t.consume(bus, orders, { group });
  const outcomes = await t.load(bus, orders, { each });
  await t.until(() => consumer.returned >= each, 'one group has settled all');
  await t.sentinel(bus, orders, [consumer]);
  return { orders, bus, group, outcomes };
}

const sequence = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

export const replays: readonly ConformanceCase[] = [
  {
    id: 'D8.leaves-others-alone',
    guarantees: ['D8'],
    title:
      'A replay reads everything again under a group of its own and says what it did; the other group sees nothing.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const { orders, bus } = await settled(t, 200);
      const runs = t.history.deliveries.length;
      const seen: number[] = [];
      const marks = new Set<boolean>();
      const counts = await bus.replay(orders, { group: t.group('reco'), from: 'earliest' }, ({ payload }, context) => {
        marks.add(context.replay);
        if (payload.sentinel !== true) seen.push(payload.seq);
      });
      t.equal(
        seen.toSorted((a, b) => a - b),
        sequence(200),
        'numbers replayed',
      );
      t.equal([counts.failed, counts.filtered, [...marks]], [0, 0, [true]], 'failed, filtered, context.replay');
      t.ok(counts.handled >= 200, `it says that it handled ${counts.handled}`);
      await t.straggle();
      t.equal(t.history.deliveries.length, runs, 'handler runs of the other group, before and after');
      // And again, under the same name: a replay leaves no position behind.
      const again = await bus.replay(orders, { group: t.group('reco'), from: 'earliest' }, () => undefined);
      t.equal(again.handled, counts.handled, 'handled by a second replay');
      return t.judge(lost(), duplicated({ forbidden: once(t) }), guard({ confirmed: 200 }));
    },
  },
  {
    id: 'D8.cut-short-is-told',
    guarantees: ['D8', 'L2'],
    title: 'A replay whose bus is closed before its end rejects, so that nobody takes a part for the whole.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const { orders } = await settled(t, 30);
      const bus = await t.connect();
      let handled = 0;
      const options = { group: t.group('reco'), from: 'earliest' as const, rate: 10 };
      const replay = t.expectError(() => bus.replay(orders, options, () => void (handled += 1)), 'closed');
      await t.until(() => handled > 0, 'the replay has begun');
      await bus.close();
      await t.within(replay, 'the replay ends');
      t.ok(handled < 30, 'it was cut short');
    },
  },
  {
    id: 'D8.end-fixed-at-the-start',
    guarantees: ['D8'],
    title: 'The end of a replay is fixed when it starts: under a flow that goes on it ends.',
    needs,
    cost: 'slow',
    run: async (t: CaseContext) => {
      const { orders, bus } = await settled(t, 200);
      const producer = await t.connect();
      const seen: number[] = [];
      let published = 200;
      const stop = new AbortController();
      const data = (): void => void (published += 1);
      const flow = t.load(producer, orders, { each: Number.POSITIVE_INFINITY, gap: 1, data, signal: stop.signal });
      await t.until(() => published >= 220, 'the flow has begun');
      const options = { group: t.group('reco'), from: 'earliest' as const, concurrency: 4 };
      const replay = bus.replay(orders, options, async ({ payload }) => {
        if (payload.sentinel === true) return;
        seen.push(payload.seq);
        // For each message read again one more is there to be read, so that an end that moves is never reached.
        const before = published;
        await t.until(() => published > before, 'the flow goes on');
      });
      await t.within(replay, 'the replay ends under flow');
      const end = published;
      stop.abort();
      await flow;
      const most = Math.max(...seen);
      t.ok(seen.length >= 215, `only ${seen.length} were replayed`);
      t.equal(
        seen.toSorted((a, b) => a - b),
        sequence(most),
        'numbers replayed, without a hole',
      );
      t.ok(most < end - 20, `it went on to ${most} of ${end}: its end moved with the flow`);
      return t.judge(guard({ confirmed: 220 }));
    },
  },
  {
    id: 'D8.from-a-time-and-a-position',
    guarantees: ['D8', 'D7'],
    title: 'A replay begins at the time or at the position that is asked for.',
    needs,
    cost: 'slow',
    run: async (t: CaseContext) => {
      const { orders, bus, outcomes } = await settled(t, 60);
      await t.pass(1_000);
      const middle = new Date();
      await t.pass(1_000);
      const later = await t.load(bus, orders, { each: 60 });
      // What a position does not name begins with the oldest, so it must name every partition that had something.
      const position = firstOf(later);
      const named = outcomes.every((one) =>
        Object.keys(positionOf(one)).every((name) => position?.[name] !== undefined),
      );
      const ways = [
        middle,
        Date.now() - middle.getTime(),
        ...(position === null || !named ? [] : [{ position }]),
      ] as const;
      for (const from of ways) {
        const seen: number[] = [];
        await bus.replay(orders, { group: t.group('reco'), from }, ({ payload }) => {
          if (payload.sentinel !== true) seen.push(payload.seq);
        });
        const [first = 0] = seen.toSorted((a, b) => a - b);
        t.equal(
          seen.toSorted((a, b) => a - b),
          sequence(120, 61),
          `numbers replayed from ${JSON.stringify(from)}, the first being ${first}`,
        );
      }
      t.measure('confirmedBefore', outcomes.length);
    },
  },
  {
    id: 'D8.rate-and-filter',
    guarantees: ['D8', 'D11'],
    title: 'A replay keeps to its rate, and its filter counts what it leaves out.',
    needs: { 'deliver.replay': true, 'deliver.filter': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { type: ({ seq }) => (seq % 3 === 0 ? 'order.paid' : 'order.made') });
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 90 });
      await t.until(() => consumer.returned >= 90, 'one group has settled all');
      const rate = 45;
      const began = t.now();
      const seen: number[] = [];
      const options = { group: t.group('reco'), from: 'earliest' as const, rate, filter: { type: 'order.paid' } };
      const counts = await bus.replay(orders, options, ({ payload }) => void seen.push(payload.seq));
      const took = t.now() - began;
      t.equal(
        seen.every((seq) => seq % 3 === 0),
        true,
        'only what the filter lets through',
      );
      t.equal(counts, { handled: 30, failed: 0, filtered: 60 }, 'counts');
      t.ok(took >= ((90 - 1) / rate) * 1_000 - 20, `90 messages at ${rate} a second took only ${took.toFixed(0)} ms`);
      t.measure('replayMs', Math.round(took));
    },
  },
  {
    id: 'D8.failures-are-counted',
    guarantees: ['D8', 'R1'],
    title: 'A message that fails all its attempts in a replay is counted, not dead-lettered, and the replay goes on.',
    needs,
    cost: 'slow',
    run: async (t: CaseContext) => {
      const { orders, bus } = await settled(t, 20);
      let failed = 0;
      const counts = await bus.replay(orders, { group: t.group('reco'), from: 'earliest' }, ({ payload }) => {
        if (payload.sentinel === true || payload.seq !== 7) return;
        failed += 1;
        throw new Error('it fails');
      });
      t.equal([counts.failed, failed], [1, 5], 'messages that failed, and handler runs');
      t.ok(counts.handled >= 19, `handled: ${counts.handled}`);
      t.equal(t.history.of('send').filter(({ kind }) => kind !== 'topic').length, 0, 'copies sent');
    },
  },
  {
    id: 'D8.older-than-what-is-held',
    guarantees: ['D8'],
    title: 'A replay from before what the broker still holds is refused, unless a part is accepted.',
    needs: { 'deliver.replay': true, 'deliver.retention': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const began = new Date();
      const config = { topics: { [orders.name]: { retention: '1s' as const } } };
      const bus = await t.connect({ topics: [orders], config });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 50 });
      await t.until(() => consumer.returned >= 50, 'one group has settled all');
      let code: unknown = null;
      await t.until(
        async () => {
          // A replay needs the messages again, so between two tries their retention must pass.
          await t.pass(3_000);
          await t.publish(bus, orders);
          const replay = bus.replay(orders, { group: t.group('reco'), from: began }, () => undefined);
          code = await replay.then(
            () => null,
            (error: { code: unknown }) => error.code,
          );
          return code !== null;
        },
        'what was settled is removed, and then refused',
        { total: 40_000 },
      );
      t.equal(code, 'invalid', 'the code of the refusal');
      const counts = await bus.replay(orders, { group: t.group('reco'), from: began, partial: true }, () => undefined);
      t.equal(counts.failed, 0, 'failures of a replay that accepts a part');
    },
  },
];

const positionOf = (outcome: Outcome): Position => (outcome.status === 'confirmed' ? (outcome.position ?? {}) : {});

/** The first position of each partition. */
function firstOf(outcomes: readonly Outcome[]): Position | null {
  const position: Record<string, string> = {};
  for (const outcome of outcomes) {
    if (outcome.status !== 'confirmed' || outcome.position === null) return null;
    for (const [partition, at] of Object.entries(outcome.position))
      if (position[partition] === undefined || comparePositions(at, position[partition]) < 0) position[partition] = at;
  }
  return position;
}
