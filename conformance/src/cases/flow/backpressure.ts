import { WaybillError } from '@waybill/core';
import type { Adapter, SendOutcome } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost, pending, phantom, reordered } from '../../checkers/index.ts';
import { tampered, tamperedSubscriptions } from './tampered.ts';

const throttled = (): WaybillError => new WaybillError('throttled', 'the broker asks for less (the case says so)');

interface Throttle {
  on: boolean;
  /** Messages that it has refused. */
  refused: number;
  /** Most messages that one call brought. */
  largest: number;
}

/** The broker takes nothing while the throttle is on, as over a quota or with its memory full. */
function throttling(adapter: Adapter, throttle: Throttle): Adapter {
  return tampered(adapter, {
    publish: async (destination, messages, signal): Promise<readonly SendOutcome[]> => {
      if (!throttle.on) return adapter.publish(destination, messages, signal);
      throttle.refused += messages.length;
      throttle.largest = Math.max(throttle.largest, messages.length);
      return messages.map(() => ({ status: 'rejected', error: throttled() }));
    },
  });
}

export const backpressure: readonly ConformanceCase[] = [
  {
    id: 'F6.throttled-publishes-wait',
    guarantees: ['F6', 'P6', 'P3'],
    title: 'While the broker throttles, publishes wait in a bounded buffer; then all are stored, in order.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const keyed = t.supports.order.key.by !== 'refused';
      const orders = t.topic('orders', keyed ? { ordering: 'key' } : {});
      const throttle: Throttle = { on: false, refused: 0, largest: 0 };
      const config = { publish: { bufferMessages: 10, overflow: 'block' as const } };
      const bus = await t.connect({ topics: [orders], config, wrap: (adapter) => throttling(adapter, throttle) });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      let blocked = 0;
      let resumed = 0;
      bus.on('publish-blocked', () => blocked++);
      bus.on('publish-resumed', () => resumed++);
      throttle.on = true;
      const flow = t.track(
        'the flow of publishes',
        t.load(bus, orders, { keys: keyed ? 5 : 0, each: 30, concurrency: 150 }),
      );
      await t.until(() => throttle.refused >= 10, 'the broker refuses');
      await t.until(() => blocked > 0, 'the producer is held back');
      t.equal(t.history.of('publish.confirmed').length, 0, 'publishes confirmed while the broker refuses');
      throttle.on = false;
      const outcomes = await t.within(flow, 'all publishes end when the broker takes them again');
      t.ok(
        outcomes.every(({ status }) => status === 'confirmed'),
        'all are confirmed in the end',
      );
      t.ok(resumed > 0, 'the end of the blockage is said');
      t.ok(throttle.largest <= 10, `${throttle.largest} messages were sent at once; the buffer holds 10`);
      await t.until(() => consumer.distinct === outcomes.length, 'all are delivered');
      return t.judge(lost(), pending(), ...(keyed ? [reordered()] : []), guard({ confirmed: outcomes.length }));
    },
  },
  {
    id: 'F6.throttled-rejects-when-full',
    guarantees: ['F6', 'P6'],
    title: "With overflow 'reject' a full buffer is a typed error at once; what was refused is stored nowhere.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const throttle: Throttle = { on: true, refused: 0, largest: 0 };
      const config = { publish: { bufferMessages: 10, overflow: 'reject' as const } };
      const bus = await t.connect({ topics: [orders], config, wrap: (adapter) => throttling(adapter, throttle) });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const flow = t.track('the flow of publishes', t.load(bus, orders, { each: 40, concurrency: 40 }));
      await t.until(() => t.history.of('publish.rejected').length === 30, '30 of 40 are refused');
      throttle.on = false;
      const outcomes = await t.within(flow, 'the others end when the broker takes them');
      const codes = outcomes.flatMap((outcome) => (outcome.status === 'confirmed' ? [] : [outcome.error.code]));
      t.equal(
        codes,
        Array.from({ length: 30 }, () => 'throttled'),
        'codes of what was refused',
      );
      await t.load(bus, orders, { each: 10, concurrency: 5 });
      await t.until(() => consumer.distinct === 20, 'all that was taken is delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(phantom(), lost(), pending(), guard({ confirmed: 20, rejected: 30 }));
    },
  },
  {
    id: 'F6.publish-times-out',
    guarantees: ['F6', 'P6'],
    title: 'A broker that throttles for longer than the publish timeout ends the publish with a typed error.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const throttle: Throttle = { on: true, refused: 0, largest: 0 };
      const config = { publish: { timeout: 1_000, bufferMessages: 5 } };
      const bus = await t.connect({ topics: [orders], config, wrap: (adapter) => throttling(adapter, throttle) });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const began = t.now();
      const outcomes = await t.within(t.load(bus, orders, { each: 20 }), 'all end by the publish timeout', 10_000);
      const took = t.now() - began;
      t.ok(took >= 900, `the broker was given ${took.toFixed(0)} ms; the publish timeout is 1000`);
      let told = 0;
      for (const outcome of outcomes) {
        t.equal(outcome.status, 'rejected', 'the outcome of what the broker never took');
        if (outcome.status === 'confirmed') continue;
        const { code, message } = outcome.error;
        t.ok(code === 'throttled' || code === 'timeout', `its code is ${code}; expected: throttled or timeout`);
        if (message.includes('asks for less')) told += 1;
      }
      t.ok(told >= 5, `${told} errors tell what the broker said; at least those that were sent must`);
      throttle.on = false;
      await t.load(bus, orders, { each: 5 });
      await t.until(() => consumer.distinct === 5, 'later ones are delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(phantom(), lost(), pending(), guard({ confirmed: 5, rejected: 20 }));
    },
  },
  {
    id: 'F6.throttled-receive-goes-on',
    guarantees: ['F6', 'L1'],
    title: 'A broker too busy to be read from is asked again; nothing is lost and nothing costs an attempt.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      let busy = false;
      let refused = 0;
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          tamperedSubscriptions(adapter, (inner) => ({
            receive: async (max, signal, skip) => {
              if (!busy) return inner.receive(max, signal, skip);
              refused += 1;
              throw throttled();
            },
          })),
      });
      const publisher = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(publisher, orders, { each: 20 });
      await t.until(() => consumer.distinct === 20, 'it receives');
      busy = true;
      await t.load(publisher, orders, { each: 20 });
      await t.until(() => refused >= 3, 'it asks again and again');
      t.equal(bus.health().status, 'stalled', 'the health of a bus that can not receive');
      busy = false;
      await t.until(() => consumer.distinct === 40, 'it receives again');
      await t.until(() => bus.health().status === 'ready', 'its health is good again');
      await t.sentinel(publisher, orders, [consumer]);
      return t.judge(lost(), attempts(), guard({ confirmed: 40 }));
    },
  },
  {
    id: 'F6.refusing-broker-recovers',
    guarantees: ['F6', 'P3'],
    title: 'Sends that the broker refuses for now are sent again until it takes them, in order.',
    cost: 'fault',
    faults: ['reject-sends'],
    run: async (t: CaseContext) => {
      const keyed = t.supports.order.key.by !== 'refused';
      const orders = t.topic('orders', keyed ? { ordering: 'key' } : {});
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { keys: keyed ? 4 : 0, each: 5 });
      const heal = await t.fault.rejectSends(30, { refusal: 'passing' });
      const outcomes = await t.load(bus, orders, { keys: keyed ? 4 : 0, each: 40 });
      await heal();
      t.ok(
        outcomes.every(({ status }) => status === 'confirmed'),
        'all are confirmed in the end',
      );
      const refused = t.history.of('send').flatMap((send) => send.outcomes.filter((outcome) => outcome === 'rejected'));
      t.ok(refused.length > 0, 'the broker refused some');
      await t.until(() => consumer.distinct === outcomes.length + (keyed ? 20 : 5), 'all are delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(lost(), pending(), ...(keyed ? [reordered()] : []), guard({ faults: 1, busyAtFault: false }));
    },
  },
  {
    id: 'F6.stalled-broker-holds-the-publisher',
    guarantees: ['F6', 'P6'],
    title: 'A broker that stops answering holds the publisher back in a bounded buffer, and nothing confirmed is lost.',
    cost: 'fault',
    faults: ['stall'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const config = { publish: { bufferMessages: 20, overflow: 'block' as const } };
      const bus = await t.connect({ topics: [orders], config });
      const consumer = await t.consume(bus, orders, { group });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.distinct === 20, 'the flow runs');
      let blocked = false;
      bus.on('publish-blocked', () => (blocked = true));
      const heal = await t.fault.stall();
      const flow = t.track('the flow of publishes', t.load(bus, orders, { each: 100, concurrency: 100 }));
      await t.until(() => blocked, 'the producer is held back');
      await t.straggle(300);
      await heal();
      await t.within(flow, 'every publish ends', 60_000);
      await t.load(bus, orders, { each: 10 });
      await consumer.close();
      await t.drainAll(orders, [group]);
      return t.judge(lost(), pending(), guard({ confirmed: 30, faults: 1 }));
    },
  },
];
