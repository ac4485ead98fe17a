import type { Adapter, AdapterSubscription } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost, unexpected } from '../../checkers/index.ts';
import { blockedSince, mustRun, shortest } from '../pace.ts';
import { once } from '../repeats.ts';
import { Latch, withMethods } from '../publish/wrapping.ts';

export const pauses: readonly ConformanceCase[] = [
  {
    id: 'D9.pause-and-resume',
    guarantees: ['D9', 'F4', 'R3'],
    title:
      'Paused, no handler starts while those in flight finish and other groups go on; resumed, all arrives, at no attempt.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const latch = new Latch();
      const options = { group: t.group('inventory'), concurrency: 4 };
      const consumer = await t.consume(bus, orders, options, () => latch.opened);
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 50 });
      await t.until(() => consumer.running === 4, 'four are being handled');
      consumer.pause();
      t.equal(consumer.subscription.status, 'paused', 'the status');
      consumer.pause(); // again is the same
      await t.load(bus, orders, { each: 50 });
      latch.open();
      await t.until(() => consumer.running === 0, 'those in flight finish');
      await t.until(() => other.distinct >= 100, 'the other group goes on');
      await t.sentinel(bus, orders, [other]);
      t.equal([consumer.count, consumer.returned], [4, 4], 'handler runs that began and ended while paused');
      consumer.resume();
      await t.until(() => consumer.distinct >= 100, 'all arrive after the resume');
      await t.sentinel(bus, orders, [consumer, other]);
      t.equal(consumer.subscription.status, 'subscribed', 'the status');
      return t.judge(attempts(), lost(), duplicated({ forbidden: once(t) }), guard({ confirmed: 100, returned: 200 }));
    },
  },
  {
    id: 'D9.only-this-process',
    guarantees: ['D9', 'D3'],
    title: 'A paused consumer takes nothing from the group: another member gets what is published meanwhile.',
    cost: 'slow',
    declinedBy: ({ settle }) =>
      settle.mode === 'individual' ? null : 'settle.mode is cumulative: a paused member keeps its partitions',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const [first, second] = [await t.connect({ topics: [orders] }), await t.connect()];
      const paused = await t.consume(first, orders, { group });
      paused.pause();
      // A poll under way may still bring something; it ends within its bound, and what it brings goes back.
      await t.until(() => paused.subscription.held === 0, 'its poll has ended', {
        total: t.supports.receive.stopDelay + 2_000,
      });
      const active = await t.consume(second, orders, { group });
      await t.load(second, orders, { each: 100 });
      await t.until(() => active.distinct >= 100, 'the other member gets all');
      await t.sentinel(second, orders, [active]);
      t.equal(paused.count, 0, 'handler runs of the paused one');
      return t.judge(lost(), duplicated({ forbidden: once(t) }), attempts(), guard({ confirmed: 100 }));
    },
  },
  {
    id: 'D9.what-an-open-poll-brings-goes-back',
    guarantees: ['D9', 'L2', 'F1'],
    title: 'What a poll brings after a pause or a close goes back at once, and another consumer gets it at attempt 1.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const first = await t.connect({ topics: [orders] });
      const second = await t.connect();
      for (const how of ['pause', 'close'] as const) {
        const idle = await t.consume(first, orders, { group });
        await t.until(() => idle.subscription.held > 0, 'a poll is open');
        const began = t.now();
        const closing = how === 'close' ? idle.close() : Promise.resolve(idle.pause());
        // Published into the poll that is still open.
        const load = t.load(second, orders, { each: 20 });
        await t.within(closing, `it ${how}s`);
        await load;
        await t.until(() => idle.subscription.held === 0, 'nothing is held any more', {
          total: t.supports.receive.stopDelay + 2_000,
        });
        t.measure(`${how}Ms`, Math.round(t.now() - began));
        const paused = idle.count;
        if (how === 'pause') await idle.close();
        const active = await t.consume(second, orders, { group });
        await t.until(() => active.distinct >= 20 - paused, 'another consumer gets them', {
          total: 15_000 + 2 * t.supports.deliver.redelivery.bound,
        });
        await t.sentinel(second, orders, [active]);
        await active.close();
      }
      return t.judge(attempts(), lost({ handled: true }), duplicated({ forbidden: once(t) }), guard({ confirmed: 40 }));
    },
  },
  {
    id: 'D9.longer-than-the-lease',
    guarantees: ['D9', 'D6', 'F4'],
    title: 'A pause longer than the lease loses nothing, and costs no attempt.',
    needs: { lease: true },
    cost: 'slow',
    declinedBy: ({ lease }) =>
      lease.max === null || lease.max >= 8_000 ? null : 'lease.max is shorter than the pause',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 100 });
      const blocked = blockedSince();
      const lease = shortest(t);
      const consumer = await t.consume(bus, orders, { group, lease, concurrency: 2, prefetch: 50 }, () => t.pass(20));
      await t.until(() => consumer.returned >= 10, 'some are handled');
      consumer.pause();
      await t.until(() => consumer.running === 0, 'those in flight finish');
      await t.pass(3 * lease);
      consumer.resume();
      await t.until(() => consumer.distinct >= 100, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      if (consumer.count > consumer.distinct) mustRun(lease, blocked);
      return t.judge(attempts(), lost({ since: 'all' }), duplicated({ forbidden: once(t) }), guard({ confirmed: 100 }));
    },
  },
  {
    id: 'D9.paused-across-a-reconnect',
    guarantees: ['D9', 'L1'],
    title: 'A paused subscription stays paused across a reconnect; resumed, it gets everything.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const other = await t.consume(bus, orders, { group: t.group('other') });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.returned >= 20 && other.returned >= 20, 'both go');
      consumer.pause();
      const heal = await t.fault.cut();
      await heal();
      await t.load(bus, orders, { each: 50 });
      await t.until(() => other.distinct >= 70, 'the other group goes on after the reconnect');
      await t.sentinel(bus, orders, [other]);
      t.equal([consumer.count, consumer.subscription.status], [20, 'paused'], 'handler runs, and the status');
      consumer.resume();
      await t.until(() => consumer.distinct >= 70, 'all arrive after the resume', {
        total: 30_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      await t.sentinel(bus, orders, [consumer, other]);
      return t.judge(attempts(), lost(), unexpected(), guard({ confirmed: 70, faults: 1 }));
    },
  },
  {
    id: 'D9.an-empty-receive-answers',
    guarantees: ['D9', 'L2', 'F1'],
    title:
      'An adapter that has nothing to give says so within about a second, and never gives more than it was asked for.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const blocked = blockedSince();
      const polls: { ms: number; max: number; got: number }[] = [];
      const bus = await t.connect({ topics: [orders], wrap: timing(polls) });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), concurrency: 2, prefetch: 7 });
      const empty = (): number => polls.filter(({ got }) => got === 0).length;
      await t.until(() => empty() >= 3, 'three receives answer with nothing');
      await t.load(bus, orders, { each: 100 });
      await t.until(() => consumer.distinct >= 100, 'all are delivered');
      const before = empty();
      await t.until(() => empty() > before, 'a receive answers with nothing again');
      const slowest = Math.max(...polls.map(({ ms }) => ms));
      t.measure('slowestReceiveMs', Math.round(slowest));
      t.ok(
        slowest <= t.scaled(2_000) + blocked(),
        `a receive took ${slowest.toFixed(0)} ms; about a second is allowed`,
      );
      t.equal(
        polls.filter(({ got, max }) => got > max),
        [],
        'receives that gave more than was asked for',
      );
      await consumer.close();
      return t.judge(lost(), guard({ confirmed: 100 }));
    },
  },
];

/** Measures every `receive`. */
function timing(polls: { ms: number; max: number; got: number }[]): (adapter: Adapter) => Adapter {
  const timed = (subscription: AdapterSubscription): AdapterSubscription =>
    withMethods(subscription, {
      receive: async (max, signal, skip) => {
        const began = performance.now();
        const deliveries = await subscription.receive(max, signal, skip);
        polls.push({ ms: performance.now() - began, max, got: deliveries.length });
        return deliveries;
      },
    });
  return (adapter) =>
    withMethods(adapter, { subscribe: async (spec, signal) => timed(await adapter.subscribe(spec, signal)) });
}
