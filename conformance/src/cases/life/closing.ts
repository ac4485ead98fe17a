import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost, pending } from '../../checkers/index.ts';
import { tampered } from '../flow/tampered.ts';

export const closing: readonly ConformanceCase[] = [
  {
    id: 'L2.close-is-idempotent',
    guarantees: ['L2'],
    title: 'Closing twice, at once or later, of a subscription or a bus, ends without an error.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const events: string[] = [];
      bus.on('drained', ({ unsettled }) => events.push(`drained ${unsettled}`));
      bus.on('closed', () => events.push('closed'));
      const [one, two] = await Promise.all(
        ['one', 'two'].map((name) => t.consume(bus, orders, { group: t.group(name) })),
      );
      await t.load(bus, orders, { each: 5 });
      await t.until(() => one?.returned === 5 && two?.returned === 5, 'all are handled');
      const { subscription } = one ?? t.fail('no consumer');
      await t.within(
        Promise.all([subscription.close(), subscription.close(), subscription.drain()]),
        'a subscription closes',
      );
      await t.within(subscription.close(), 'it closes again');
      await t.within(Promise.all([bus.bus.close(), bus.bus.drain(), bus.bus.close()]), 'the bus closes');
      await t.within(bus.bus.close(), 'it closes again');
      await t.within(subscription.close(), 'its subscription closes again');
      t.equal(events, ['drained 0', 'closed'], 'events, once each');
      t.equal([subscription.status, two?.subscription.status], ['closed', 'closed'], 'their status');
      return t.judge(lost(), guard({ confirmed: 5, returned: 10 }));
    },
  },
  {
    id: 'L2.close-inside-a-handler',
    guarantees: ['L2'],
    title: 'A handler may close its subscription, or the bus: its message is settled, and the rest is left for others.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const publisher = await t.connect({ topics: [orders] });
      await t.load(publisher, orders, { each: 30 });
      for (const what of ['subscription', 'bus'] as const) {
        const bus = await t.connect({ topics: [orders] });
        let closed: Promise<void> | null = null;
        const consumer = await t.consume(bus, orders, { group, concurrency: 1, drain: '20s' }, () => {
          if (consumer.count < 3) return;
          closed ??= t.track(`close of the ${what}`, what === 'bus' ? bus.close() : consumer.close());
        });
        await t.until(() => closed !== null, `a handler closes the ${what}`);
        await t.within(closed ?? t.fail('nothing was closed'), `the ${what} closes`, 10_000);
        t.equal(consumer.count, 3, `handler runs of the one whose ${what} was closed`);
      }
      const last = await t.consume(publisher, orders, { group });
      await t.until(() => last.distinct === 24, 'the others come to the next');
      await t.sentinel(publisher, orders, [last]);
      return t.judge(lost(), pending(), duplicated({ forbidden: true }), attempts(), guard({ confirmed: 30 }));
    },
  },
  {
    id: 'L2.close-awaited-inside-a-handler',
    guarantees: ['L2'],
    title: 'A handler that waits for its own close ends at the drain deadline, not never.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      let ended = 0;
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), drain: '500ms' }, async () => {
        await consumer.subscription.close();
        ended += 1;
      });
      await t.publish(bus, orders);
      await t.until(() => ended === 1, 'the handler ends', { total: 10_000 });
      t.equal(consumer.subscription.status, 'closed', 'its status');
      await t.within(bus.close(), 'the bus closes');
    },
  },
  {
    id: 'L2.close-while-subscribing',
    guarantees: ['L2', 'L3'],
    title:
      'Closing a bus while a subscription is being opened ends both: the subscribe fails typed, nothing stays open.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      let subscribing = false;
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          tampered(adapter, {
            subscribe: async (spec, signal) => {
              subscribing = true;
              await t.pass(300);
              return adapter.subscribe(spec, signal);
            },
          }),
      });
      const subscribe = t.track(
        'subscribe',
        bus.bus.subscribe(orders, { group: t.group('inventory') }, () => undefined),
      );
      subscribe.catch(() => undefined);
      await t.until(() => subscribing, 'the subscription is being opened');
      const closed = t.track('close', bus.close());
      const late = await subscribe.then(
        (subscription) => subscription.status,
        (error: unknown) => error,
      );
      await t.within(closed, 'the bus closes', 10_000);
      // It may have stood for a moment: then it is closed like any other.
      if (typeof late !== 'string') await t.expectError(Promise.reject(late), ['closed', 'timeout']);
      t.equal(bus.health().subscriptions, [], 'subscriptions left');
      return t.judge(pending());
    },
  },
  {
    id: 'L2.close-while-reconnecting',
    guarantees: ['L2', 'L1'],
    title: 'Closing while the broker is away ends within seconds, and every publish has an outcome.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders], config: { publish: { timeout: '1s' } } });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => consumer.distinct === 5, 'it works');
      const heal = await t.fault.cut();
      const flow = t.track('publishes into the cut', t.load(bus, orders, { each: 10 }));
      await t.until(() => bus.health().status === 'reconnecting', 'the loss is noticed');
      const began = t.now();
      await t.within(bus.close(), 'the bus closes', 10_000);
      t.measure('closeMs', t.now() - began);
      const outcomes = await t.within(flow, 'every publish ends', 5_000);
      t.ok(
        outcomes.every(({ status }) => status !== 'confirmed'),
        'none is confirmed: nobody could take it',
      );
      t.equal(bus.health().status, 'closed', 'the health');
      await heal();
      return t.judge(pending(), guard({ confirmed: 5, faults: 1 }));
    },
  },
  {
    id: 'L2.open-close-open',
    guarantees: ['L2', 'D1'],
    title: 'A bus that was closed can be opened again, round after round, and the group goes on where it was.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      for (let round = 1; round <= 5; round++) {
        const bus = await t.connect({ topics: [orders] });
        await t.load(bus, orders, { each: 40 });
        const consumer = await t.consume(bus, orders, { group, concurrency: 2 }, () => t.pass(5));
        await t.until(() => consumer.returned >= 10, 'some are handled');
        await t.within(consumer.close(), 'the subscription closes');
        const again = await t.consume(bus, orders, { group, concurrency: 2 }, () => t.pass(5));
        await t.until(() => again.returned >= 5, 'some more are handled by another subscription');
        await t.within(bus.close(), 'the bus closes');
      }
      await t.drainAll(orders, [group]);
      return t.judge(lost(), duplicated({ forbidden: true }), attempts(), guard({ confirmed: 200, returned: 200 }));
    },
  },
];
