import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost, pending, phantom, recovered } from '../../checkers/index.ts';
import { intercepting, Latch, unhurried } from './wrapping.ts';

/**
 * What only lives in the broker's process is gone when that dies, as declared. A broker embedded in this process can't
 * die alone: its connections break, and it keeps what it has confirmed.
 */
export function mustSurvive(t: CaseContext): void {
  if (t.supports.publish.durability === 'memory' && t.target.how !== 'embedded')
    t.notRun("publish.durability is 'memory': what is confirmed does not survive the broker's process, as declared");
}

export const restarts: readonly ConformanceCase[] = [
  {
    id: 'P1.kill-after-the-last-confirm',
    guarantees: ['P1'],
    title: 'A broker killed right after the last confirm has lost nothing that it confirmed.',
    cost: 'fault',
    faults: ['kill-broker'],
    timeout: 300_000,
    run: async (t) => {
      mustSurvive(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const buses = await Promise.all(Array.from({ length: 20 }, () => t.connect({ topics: [orders] })));
      await Promise.all(buses.map((bus) => t.load(bus, orders, { each: 500 * t.scale })));
      const heal = await t.fault.killBroker();
      await heal();
      await t.drainAll(orders, [group]);
      return t.judge(lost({ since: 'all' }), guard({ confirmed: 10_000 * t.scale, faults: 1 }));
    },
  },
  {
    id: 'P1.restarts-under-load',
    guarantees: ['P1', 'L1'],
    title:
      'A broker restarted twice under many publishers loses nothing that it confirmed, and no publish is left open.',
    cost: 'fault',
    faults: ['restart'],
    timeout: 300_000,
    run: async (t) => {
      mustSurvive(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const total = 4_000 * t.scale;
      const publishers = 20;
      const options = { topics: [orders], wrap: unhurried(10) };
      const buses = await Promise.all(Array.from({ length: publishers }, () => t.connect(options)));
      const load = Promise.all(buses.map((bus) => t.load(bus, orders, { each: total / publishers, concurrency: 5 })));
      const confirmed = (): number => t.history.of('publish.confirmed').length;
      for (const part of [1 / 3, 1 / 2]) {
        await t.until(() => confirmed() >= total * part, `${Math.round(total * part)} confirmed`, { total: 120_000 });
        await t.fault.restart();
      }
      await t.within(load, 'every publish has an outcome', 120_000);
      await t.drainAll(orders, [group]);
      return t.judge(lost({ since: 'all' }), pending(), guard({ confirmed: total / 2, faults: 2, busyAtFault: true }));
    },
  },
  {
    id: 'P1.cut-under-load',
    guarantees: ['P1', 'P2', 'L1'],
    title: 'When connections are cut under load, what was confirmed is there and what was rejected is not.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const config = { publish: { timeout: '2s' as const } };
      const options = { topics: [orders], config, wrap: unhurried(10) };
      const buses = await Promise.all(Array.from({ length: 4 }, () => t.connect(options)));
      const stop = new AbortController();
      const load = { each: Number.POSITIVE_INFINITY, concurrency: 30, signal: stop.signal };
      const flow = Promise.all(buses.map((bus) => t.load(bus, orders, load)));
      const confirmed = (): number => t.history.of('publish.confirmed').length;
      for (let round = 0; round < 3; round++) {
        const before = confirmed();
        await t.until(() => confirmed() >= before + 200, 'the flow goes on');
        const heal = await t.fault.cut();
        await t.pass(500 * round); // in the second round some publishes come close to their timeout, in the third …
        await heal();
      }
      const before = confirmed();
      await t.until(() => confirmed() >= before + 200, 'the flow goes on after the last cut');
      stop.abort();
      await t.within(flow, 'every publish has an outcome', 60_000);
      await t.drainAll(orders, [group]);
      return t.judge(lost({ since: 'all' }), pending(), guard({ confirmed: 800, faults: 3, busyAtFault: true }));
    },
  },
  {
    id: 'P1.publish-then-die',
    guarantees: ['P1', 'D1'],
    title: 'What was confirmed a moment after its topic was made survives a broker that dies at once.',
    cost: 'fault',
    faults: ['restart'],
    run: async (t) => {
      mustSurvive(t);
      const topics = Array.from({ length: 5 }, (_, index) => t.topic(`orders${index}`));
      const group = t.group('inventory');
      for (const orders of topics) {
        await t.provision(orders, [group]);
        const bus = await t.connect({ topics: [orders] });
        await t.load(bus, orders, { each: 20 });
        await t.fault.restart();
      }
      for (const orders of topics) await t.drainAll(orders, [group]);
      return t.judge(lost({ since: 'all' }), guard({ confirmed: 100, faults: 5 }));
    },
  },
  {
    id: 'P1.open-until-the-broker-confirms',
    guarantees: ['P1'],
    title: 'A publish is not confirmed before the broker has answered.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const latch = new Latch();
      let stored = 0;
      const wrap = intercepting(async (messages, send) => {
        const outcomes = await send(messages);
        stored += messages.length;
        await latch.opened; // stored; the answer is on its way
        return outcomes;
      });
      const bus = await t.connect({ topics: [orders], wrap });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const load = t.load(bus, orders, { each: 20 });
      await t.until(() => stored > 0, 'the first batch is stored');
      await t.settled(() => stored, 'what is stored');
      t.equal(t.history.of('publish.confirmed').length, 0, 'confirmed before the answer');
      latch.open();
      await t.within(load, 'every publish has an outcome');
      await t.delivered(orders, [consumer]);
      return t.judge(lost(), pending(), guard({ confirmed: 20 }));
    },
  },
  {
    id: 'P1.open-while-nothing-passes',
    guarantees: ['P1', 'P2'],
    title: 'While the broker does not answer, no publish is confirmed; afterwards each has an outcome.',
    cost: 'fault',
    faults: ['stall'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 20 });
      const heal = await t.fault.stall();
      // What was on its way when the stall began may still be answered.
      const before = t.history.of('publish.confirmed').length;
      const load = t.load(bus, orders, { each: 50 });
      await t.settled(() => t.history.length, 'the history');
      t.equal(t.history.of('publish.confirmed').length, before, 'confirmed while nothing passes');
      await heal();
      await t.within(load, 'every publish has an outcome', 60_000);
      await t.drainAll(orders, [group]);
      return t.judge(lost({ since: 'all' }), pending(), guard({ confirmed: 70, faults: 1, busyAtFault: false }));
    },
  },
  {
    id: 'P1.unknown-is-not-rejected',
    guarantees: ['P1', 'P2'],
    title: 'A publish whose answer never came ends unknown, not rejected: it may be stored.',
    cost: 'fault',
    faults: ['stall'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders], config: { publish: { timeout: '1s' } } });
      await t.load(bus, orders, { each: 20 });
      const heal = await t.fault.stall();
      const first = await t.load(bus, orders, { each: 1 });
      t.equal(first[0]?.status, 'unknown', 'outcome of the one that was sent into the stall');
      const outcomes = await t.load(bus, orders, { each: 200 });
      t.equal(
        outcomes.some(({ status }) => status === 'confirmed'),
        false,
        'something was confirmed in the stall',
      );
      await heal();
      await t.load(bus, orders, { each: 20 });
      await t.drainAll(orders, [group]);
      return t.judge(
        phantomIfAny(outcomes.some(({ status }) => status === 'rejected')),
        recovered(),
        lost({ since: 'all' }),
        guard({ confirmed: 40, unknown: 1 }),
      );
    },
  },
];

/** Where everything ended unknown there is nothing that could be a phantom. */
function phantomIfAny(rejected: boolean): ReturnType<typeof phantom> {
  return rejected ? phantom() : pending();
}
