import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase, Fault } from '../../case.ts';
import { attempts, duplicated, guard, lost, overlapped, pending, reordered } from '../../checkers/index.ts';
import type { Heal } from '../../target.ts';

const quickly = { reconnect: { max: '200ms' } } as const;

/** Faults under a steady flow, each after progress; at the end everything confirmed is there and nothing is pending. */
async function underFlow(t: CaseContext, rounds: number, strike: () => Promise<Heal | void>): Promise<void> {
  const keyed = t.supports.order.key.by !== 'refused';
  const orders = t.topic('orders', keyed ? { ordering: 'key' } : {});
  const group = t.group('inventory');
  const publisher = await t.connect({ topics: [orders], config: quickly });
  const bus = await t.connect({ topics: [orders], config: quickly });
  const consumer = await t.consume(bus, orders, { group, prefetch: 30, drain: '2s' }, () => t.pass(10));
  const stop = new AbortController();
  const flow = t.track(
    'the flow of publishes',
    t.load(publisher, orders, { keys: keyed ? 10 : 0, each: Infinity, gap: 2, signal: stop.signal }),
  );
  for (let round = 1; round <= rounds; round++) {
    const before = consumer.distinct;
    await t.until(
      () => consumer.distinct >= before + 30 && consumer.running > 0,
      `messages flow before fault ${round}`,
    );
    const heal = await strike();
    await t.straggle(200);
    await heal?.();
    const healed = consumer.distinct;
    await t.until(() => consumer.distinct >= healed + 30, `messages flow after fault ${round}`);
  }
  stop.abort();
  await t.within(flow, 'every publish has an outcome', 60_000);
  await t.until(() => publisher.health().status === 'ready' && bus.health().status === 'ready', 'both buses are ready');
  await t.within(consumer.close(), 'the consumer closes');
  await t.drainAll(orders, [group]);
  t.judge(
    lost(),
    pending(),
    attempts({ durable: t.supports.settle.attempts.durable }),
    guard({ confirmed: 30 * rounds, faults: rounds, busyAtFault: true }),
  );
}

function survives(
  fault: Fault,
  slug: string,
  title: string,
  strike: (t: CaseContext) => Promise<Heal | void>,
): ConformanceCase {
  return {
    id: `L1.${slug}`,
    guarantees: ['L1', 'D1', 'P1'],
    title,
    cost: 'fault',
    faults: [fault],
    run: (t) => underFlow(t, 3 * t.scale, () => strike(t)),
  };
}

export const reconnecting: readonly ConformanceCase[] = [
  survives('cut', 'cut-under-flow', 'After a network cut publishers and consumers go on, and nothing is lost.', (t) =>
    t.fault.cut(),
  ),
  survives(
    'restart',
    'restart-under-flow',
    'After a restart of the broker publishers and consumers go on, and nothing is lost.',
    (t) => t.fault.restart(),
  ),
  survives(
    'kill-broker',
    'killed-broker-under-flow',
    'A killed broker that comes back has all that it confirmed, and the flow goes on.',
    (t) => t.fault.killBroker(),
  ),
  survives(
    'stall',
    'stall-under-flow',
    'A connection that passes nothing for a while loses nothing and leaves no promise open.',
    (t) => t.fault.stall(),
  ),
  survives('pause', 'paused-broker-under-flow', 'A broker that is stopped and woken up again loses nothing.', (t) =>
    t.fault.pause(),
  ),
  survives(
    'drop-responses',
    'lost-answers-under-flow',
    'Answers that get lost leave no promise open and lose nothing.',
    (t) => t.fault.dropResponses(),
  ),
  {
    id: 'L1.publishes-wait-out-a-cut',
    guarantees: ['L1', 'P3'],
    title: 'What is published while the broker is away is stored when it is back, once and in order.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders], config: quickly });
      await t.load(bus, orders, { each: 10 });
      const heal = await t.fault.cut();
      const flow = t.track('publishes into the cut', t.load(bus, orders, { each: 50 }));
      await t.until(() => bus.health().status === 'reconnecting', 'the loss is noticed');
      t.ok((bus.health().brokers['main']?.pending ?? 0) > 0, 'publishes wait');
      await heal();
      const outcomes = await t.within(flow, 'all publishes end');
      t.ok(
        outcomes.every(({ status }) => status === 'confirmed'),
        'all are confirmed',
      );
      const consumer = await t.consume(bus, orders, { group });
      await t.until(() => consumer.distinct === 60, 'all are delivered');
      return t.judge(lost(), pending(), guard({ confirmed: 60, faults: 1, busyAtFault: false }));
    },
  },
  {
    id: 'L1.consumers-do-not-multiply',
    guarantees: ['L1'],
    title: 'However often a connection is lost, the broker counts one consumer for one subscription.',
    cost: 'fault',
    faults: ['cut'],
    spy: true,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders], config: quickly });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.until(async () => (await t.spy.consumers(orders.name, consumer.group)) === 1, 'one consumer at first');
      for (let round = 1; round <= 10; round++) {
        const heal = await t.fault.cut();
        await t.until(() => bus.health().status === 'reconnecting', 'the loss is noticed');
        await heal();
        await t.until(() => bus.health().status === 'ready', 'the bus is ready again');
        await t.publish(bus, orders);
        await t.until(() => consumer.distinct === round, `message ${round} comes`);
      }
      await t.until(async () => (await t.spy.consumers(orders.name, consumer.group)) === 1, 'one consumer at the end', {
        total: 60_000,
      });
      return t.judge(lost(), guard({ confirmed: 10, faults: 10 }));
    },
  },
  {
    id: 'L1.cut-every-second',
    guarantees: ['L1', 'P3', 'O1', 'O3'],
    title: 'A connection that is cut every second still carries every message, each key in order.',
    needs: { 'order.key': true },
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders], config: quickly });
      const bus = await t.connect({ topics: [orders], config: quickly });
      const consumer = await t.consume(bus, orders, { group, concurrency: 20, drain: '2s' }, () => t.pass(30));
      const stop = new AbortController();
      const flow = { keys: 20, each: Infinity, gap: 2, signal: stop.signal };
      const load = t.track('publishes', t.load(publisher, orders, flow));
      for (let second = 1; second <= 6 * t.scale; second++) {
        await t.pass(1_000);
        await t.until(() => consumer.running > 0, `something is in flight at cut ${second}`);
        const heal = await t.fault.cut();
        await heal();
      }
      stop.abort();
      const outcomes = await t.within(load, 'every publish has an outcome', 60_000);
      t.equal(outcomes.filter(({ status }) => status !== 'confirmed').length, 0, 'publishes that were not confirmed');
      await t.until(() => consumer.distinct === outcomes.length, 'everything is handled', { total: 60_000 });
      await t.within(consumer.close(), 'the consumer closes');
      await t.drainAll(orders, [group]);
      const { forced } = t.supports.order.handover;
      return t.judge(
        lost({ since: 'all', handled: true }),
        reordered(),
        overlapped({ forced: forced === null ? null : t.scaled(forced) }),
        duplicated(),
        pending(),
        guard({ confirmed: outcomes.length, faults: 6 * t.scale, busyAtFault: true }),
      );
    },
  },
  {
    id: 'L1.hundred-reconnects-leak-nothing',
    guarantees: ['L1', 'F2'],
    title: 'A hundred reconnects leave no timer or socket behind, and the limits as they were.',
    cost: 'long',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders], config: quickly });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), prefetch: 7 });
      const resources = (): number => process.getActiveResourcesInfo().length;
      const round = async (): Promise<void> => {
        const wanted = consumer.distinct + 1;
        const heal = await t.fault.cut();
        await t.until(() => bus.health().status === 'reconnecting', 'the loss is noticed');
        await heal();
        await t.publish(bus, orders);
        await t.until(() => consumer.distinct === wanted, `message ${wanted} comes`);
      };
      for (let warm = 0; warm < 5; warm++) await round();
      await t.straggle();
      const before = resources();
      for (let count = 0; count < 100; count++) await round();
      // A client at rest opens and closes some now and then; what has leaked does not go.
      await t.until(() => resources() - before < 25, 'timers and sockets are about as many as before 100 reconnects');
      t.measure('resourcesLeft', resources() - before);
      t.equal(consumer.subscription.options.prefetch, 7, 'the prefetch');
      t.equal(bus.health().subscriptions.length, 1, 'subscriptions');
      return t.judge(lost(), pending(), guard({ confirmed: 105, faults: 105 }));
    },
  },
];
