import { WaybillError } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost, pending } from '../../checkers/index.ts';
import { tampered, tamperedSubscriptions } from '../flow/tampered.ts';
import { shortDrain, Turnstile } from '../flow/turnstile.ts';

export const losses: readonly ConformanceCase[] = [
  {
    id: 'L1.subscription-lost-alone',
    guarantees: ['L1'],
    title: 'A subscription that the broker ends (a closed channel) is opened again by itself, and nothing is lost.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      let breaks = false;
      let opened = 0;
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          tamperedSubscriptions(adapter, (inner) => {
            opened += 1;
            return {
              receive: async (max, signal, skip) => {
                const deliveries = await inner.receive(max, signal, skip);
                if (!breaks) return deliveries;
                breaks = false;
                // What it brought is handed to nobody: it stays unsettled.
                throw new WaybillError('unavailable', 'the channel was closed (the case says so)');
              },
            };
          }),
      });
      const resubscribing: string[] = [];
      bus.on('resubscribing', ({ error }) => resubscribing.push(error.code));
      const publisher = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      for (let round = 1; round <= 3; round++) {
        await t.load(publisher, orders, { each: 10 });
        await t.until(() => consumer.distinct === 20 * round - 10, 'it receives');
        breaks = true;
        await t.load(publisher, orders, { each: 10 });
        await t.until(() => consumer.distinct === 20 * round, 'it receives again', { total: 60_000 });
      }
      t.equal(opened, 4, 'times that it was opened');
      t.equal(resubscribing, ['unavailable', 'unavailable', 'unavailable'], 'what the events said');
      t.equal(bus.health().status, 'ready', 'the health at the end');
      await t.sentinel(publisher, orders, [consumer]);
      return t.judge(lost(), attempts(), guard({ confirmed: 60 }));
    },
  },
  {
    id: 'L1.lost-connection-fires-signals',
    guarantees: ['L1', 'D6'],
    title:
      'When the connection is lost, handlers that can no longer settle are told, and what they do then settles nothing.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders], config: { reconnect: { max: '200ms' } } });
      let told = 0;
      const options = { group: t.group('inventory'), concurrency: 4, prefetch: 4, ...shortDrain };
      const consumer = await t.consume(bus, orders, options, async (_message, context, { nth }) => {
        if (nth > 1) return;
        context.signal.addEventListener('abort', () => (told += 1), { once: true });
        await gate.enter();
      });
      await t.load(bus, orders, { each: 8 });
      await t.until(() => gate.waiting === 4, 'four handlers run');
      const heal = await t.fault.cut();
      // All credit is used up, so nothing but this can notice the loss.
      const publish = t.publish(bus, orders);
      await t.until(() => told === 4, 'their signals fire', { total: 10_000 });
      await heal();
      await publish;
      gate.open();
      await t.until(() => consumer.distinct === 9, 'all are handled', { total: 60_000 });
      await t.until(() => consumer.deliveries.filter(({ nth }) => nth === 2).length === 4, 'the four come again');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(
        lost(),
        attempts({ durable: t.supports.settle.attempts.durable }),
        guard({ confirmed: 9, faults: 1, busyAtFault: true }),
      );
    },
  },
  {
    id: 'L1.health-follows-the-connection',
    guarantees: ['L1'],
    title: 'Health and events tell when the connection is lost and when it stands again.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders], config: { reconnect: { min: '50ms', max: '200ms' } } });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      t.equal(bus.health().status, 'ready', 'the health before');
      const said: string[] = [];
      bus.on('disconnected', ({ broker, error }) => said.push(`disconnected ${broker} ${error.code}`));
      bus.on('connected', ({ broker }) => said.push(`connected ${broker}`));
      let tries = 0;
      bus.on('reconnecting', () => (tries += 1));
      const heal = await t.fault.cut();
      await t.until(() => bus.health().status === 'reconnecting', 'health says that it is reconnecting');
      t.equal(bus.health().brokers['main']?.state, 'reconnecting', "the broker's state");
      await t.until(() => tries >= 2, 'it tries again and again');
      t.ok(bus.health().brokers['main']?.error !== null, 'health says why');
      await heal();
      await t.until(() => bus.health().status === 'ready', 'health is good again');
      await t.until(() => consumer.subscription.status === 'subscribed', 'the subscription stands again');
      t.equal(bus.health().brokers['main']?.error, null, 'the error when all is well');
      t.equal(said, ['disconnected main disconnected', 'connected main'], 'the events');
      await t.publish(bus, orders);
      await t.until(() => consumer.distinct === 1, 'messages flow again');
      return t.judge(lost(), guard({ confirmed: 1, faults: 1 }));
    },
  },
  {
    id: 'L1.absent-at-start',
    guarantees: ['L1', 'L5'],
    title: 'A broker that is absent at the start is one clear typed error in time; later the same program connects.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const heal = await t.fault.cut();
      const began = t.now();
      const error = await t.expectError(t.connect({ topics: [orders], config: { connectTimeout: '2s' } }), [
        'disconnected',
        'unavailable',
        'timeout',
      ]);
      t.ok(t.now() - began < t.scaled(6_000), 'it came within seconds');
      t.ok(error.message.includes('main'), `it names the broker: '${error.message}'`);
      await heal();
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => consumer.distinct === 5, 'it works when the broker is there');
      return t.judge(lost(), pending(), guard({ confirmed: 5, faults: 1 }));
    },
  },
  {
    id: 'L1.never-answering-broker',
    guarantees: ['L1', 'L5'],
    title: 'A broker that never answers a connect is a typed error within the connect timeout, and is let go.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      let closed = 0;
      const began = t.now();
      const error = await t.expectError(
        t.connect({
          config: { connectTimeout: 500 },
          wrap: (adapter) =>
            tampered(adapter, {
              connect: () => new Promise(() => {}),
              close: async () => {
                closed += 1;
                await adapter.close();
              },
            }),
        }),
        'timeout',
      );
      const took = t.now() - began;
      t.ok(took >= 495 && took < t.scaled(3_000), `it took ${took.toFixed(0)} ms; the connect timeout is 500`);
      t.ok(
        error.message.includes('main') && error.message.includes('500'),
        `it says which and how long: '${error.message}'`,
      );
      t.ok(closed > 0, 'the adapter was closed');
    },
  },
];
