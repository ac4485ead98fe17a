import { fixed, type RedriveOptions } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus, Consumer, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost, overlapped, reordered, unexpected } from '../../checkers/index.ts';
import { deadLetters, heard } from './letters.ts';

type Orders = ReturnType<CaseContext['topic']>;

interface Standing {
  readonly bus: CaseBus;
  readonly orders: Orders;
  readonly group: string;
  /** Fails every message until `heal` is called. */
  readonly failing: Consumer;
  readonly other: Consumer;
  readonly dead: readonly unknown[];
  heal: () => void;
}

/** A group that gives every message up, and another that handles them. */
async function standing(t: CaseContext, count: number): Promise<Standing> {
  const orders = t.topic('orders');
  const group = t.group('failing');
  const bus = await t.connect({ topics: [orders] });
  const dead = heard(bus, 'dead-lettered');
  let healed = false;
  const failing = await t.consume(bus, orders, { group, retry: { attempts: 2, backoff: fixed(5) } }, () => {
    if (!healed) throw new Error('refused');
  });
  const other = await t.consume(bus, orders, { group: t.group('other') });
  await t.load(bus, orders, { each: count });
  await t.until(
    () => dead.length >= count && other.distinct >= count,
    'the one group gives all up, the other handles all',
  );
  return { bus, orders, group, failing, other, dead, heal: () => (healed = true) };
}

function seqOf(body: Uint8Array): number {
  return (JSON.parse(Buffer.from(body).toString()) as Stamped).seq;
}

export const redriven: readonly ConformanceCase[] = [
  {
    id: 'R7.one-by-filter-all',
    guarantees: ['R7', 'D2'],
    title:
      'Dead letters go back one, by filter or all; they reach only the group that gave them up, with attempts reset.',
    cost: 'slow',
    run: async (t) => {
      const { bus, orders, group, failing, other, heal } = await standing(t, 10);
      heal();
      const letters = bus.dlq(orders, group);
      const all = await deadLetters(t, bus, orders, group);
      t.equal(all.length, 10, 'dead letters');
      // Not the first: what lies before it must stay.
      const fifth = all.find((one) => seqOf(one.body) === 5);
      t.equal(await letters.redrive({ id: fifth?.id ?? '' }), { redriven: 1 }, 'redriven by id');
      t.equal(await letters.redrive({ id: 'no-such-message' }), { redriven: 0 }, 'redriven by an unknown id');
      await t.until(() => failing.returned >= 1, 'the one comes again');
      t.equal((await deadLetters(t, bus, orders, group)).length, 9, 'dead letters left behind one redriven');
      const some = await letters.redrive({ where: (message) => seqOf(message.body) % 2 === 0 });
      t.equal(some, { redriven: 5 }, 'redriven by filter');
      await t.until(() => failing.returned >= 6, 'the chosen ones come again');
      const left = (await deadLetters(t, bus, orders, group)).map((one) => seqOf(one.body)).toSorted((a, b) => a - b);
      t.equal(left, [1, 3, 7, 9], 'dead letters left behind the chosen ones');
      t.equal(await letters.redrive({ all: true }), { redriven: 4 }, 'redriven all');
      await t.until(() => failing.returned >= 10, 'all have come again');
      t.equal((await deadLetters(t, bus, orders, group)).length, 0, 'dead letters in the end');
      await t.sentinel(bus, orders, [failing, other]);
      t.equal([failing.count, other.count], [10 * 2 + 10, 10], 'handler runs in the failing and in the other group');
      const again = failing.deliveries.filter((one) => one.nth === 3).map((one) => one.attempt);
      t.equal(
        again,
        Array.from({ length: 10 }, () => 1),
        'attempts after the redrive',
      );
      return t.judge(attempts(), unexpected(), lost(), guard({ confirmed: 10 }));
    },
  },
  {
    id: 'R7.again-and-again',
    guarantees: ['R7', 'E2', 'R1'],
    title:
      'A message that is redriven and fails again is dead-lettered again, also within a dedup window, as often as it takes.',
    cost: 'slow',
    run: async (t) => {
      const { bus, orders, group, failing, dead, heal } = await standing(t, 3);
      const letters = bus.dlq(orders, group);
      for (let round = 2; round <= 4; round++) {
        t.equal(await letters.redrive({ all: true }), { redriven: 3 }, `redriven in round ${round}`);
        await t.until(() => dead.length >= 3 * round, `all are dead-lettered for the ${round}. time`);
        t.equal((await deadLetters(t, bus, orders, group)).length, 3, `dead letters after round ${round}`);
      }
      t.equal(failing.count, 4 * 3 * 2, 'handler runs, two per life');
      heal();
      t.equal(await letters.redrive({ all: true }), { redriven: 3 }, 'redriven in the last round');
      await t.until(() => failing.returned >= 3, 'all are handled in the end');
      t.equal((await deadLetters(t, bus, orders, group)).length, 0, 'dead letters in the end');
      t.equal(failing.returned, 3, 'messages handled');
      await t.sentinel(bus, orders, [failing]);
      return t.judge(attempts(), unexpected(), lost({ handled: true }), guard({ threw: 24 }));
    },
  },
  {
    id: 'R7.no-loop',
    guarantees: ['R7'],
    title: 'A redrive takes only what lay there when it began, so it ends also when everything fails again at once.',
    cost: 'slow',
    run: async (t) => {
      const { bus, orders, group, failing, dead } = await standing(t, 30);
      const letters = bus.dlq(orders, group);
      const redrive = letters.redrive({ all: true, rate: 200 });
      t.equal(await t.within(redrive, 'the redrive ends', 10_000), { redriven: 30 }, 'redriven');
      await t.until(() => dead.length >= 60, 'all are dead-lettered again');
      await t.straggle();
      t.equal([failing.count, dead.length], [30 * 4, 60], 'handler runs and dead letters in all');
      t.equal((await deadLetters(t, bus, orders, group)).length, 30, 'dead letters that lie there');
      return t.judge(attempts({ expected: 2 }), unexpected(), guard({ threw: 120 }));
    },
  },
  {
    id: 'R7.in-its-keys-lane',
    guarantees: ['R7', 'O1', 'O3'],
    title: 'A redriven message of an ordered topic never runs beside another of its key.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      let healed = false;
      const retry = { attempts: 1 };
      const handler = async (message: { payload: Stamped }): Promise<void> => {
        await t.pass(2);
        if (message.payload.seq % 5 === 0 && !healed) throw new Error('refused');
      };
      const consumers = [await t.consume(bus, orders, { group, retry, concurrency: 16 }, handler)];
      consumers.push(
        await t.consume(await t.connect({ topics: [orders] }), orders, { group, retry, concurrency: 16 }, handler),
      );
      await t.load(bus, orders, { keys: 8, each: 20 });
      const delivered = (): number => consumers.reduce((sum, one) => sum + one.count, 0);
      await t.until(() => delivered() >= 160, 'all are delivered');
      const letters = bus.dlq(orders, group);
      await t.until(
        async () => (await deadLetters(t, bus, orders, group)).length >= 32,
        'every fifth is dead-lettered',
      );
      healed = true;
      const flow = t.load(bus, orders, { keys: 8, each: 40, gap: 1 });
      t.equal(await letters.redrive({ all: true, rate: 400 }), { redriven: 32 }, 'redriven into the flow');
      await flow;
      await t.until(() => delivered() >= 160 + 320 + 32, 'all are delivered, the redriven ones again');
      await t.sentinel(bus, orders, consumers);
      t.equal(delivered(), 512, 'handler runs');
      t.note(`${dead.length} dead letters on the first connection`);
      // Where a redriven one stands among its key-mates is not said; that it runs alone is.
      return t.judge(overlapped(), reordered(), attempts(), unexpected(), guard({ confirmed: 480 }));
    },
  },
  {
    id: 'R7.purge',
    guarantees: ['R7', 'L5'],
    title:
      'Purging empties the dead-letter topic and says how much went; a redrive that is not clear about what it wants is refused.',
    cost: 'slow',
    run: async (t) => {
      const { bus, orders, group, failing } = await standing(t, 12);
      const letters = bus.dlq(orders, group);
      for (const options of [
        {},
        { all: false },
        { all: true, id: 'x' },
        { id: 'x', where: () => true },
        { all: true, rate: 0 },
        { all: true, rat: 5 },
        { where: 'all' },
      ])
        await t.expectError(() => letters.redrive(options as RedriveOptions), 'invalid');
      t.equal((await deadLetters(t, bus, orders, group)).length, 12, 'dead letters after refused redrives');
      t.equal(await letters.purge(), { purged: 12 }, 'purged');
      t.equal(await letters.purge(), { purged: 0 }, 'purged when nothing is left');
      t.equal(await letters.redrive({ all: true }), { redriven: 0 }, 'redriven when nothing is left');
      await t.straggle();
      t.equal(failing.distinct, 12, 'messages of the failing group');
      return t.judge(attempts({ expected: 2 }), guard({ threw: 24 }));
    },
  },
];
