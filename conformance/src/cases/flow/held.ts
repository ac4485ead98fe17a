import type { SubscribeOptions } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { Consumer } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { concurrency, guard, held, heldBytes, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

/** The most that a subscription said it holds, polls under way included, until it came to rest. */
function restingHold(t: CaseContext, consumer: Consumer): Promise<number> {
  return t.settled(() => consumer.subscription.held, `what ${consumer.name} holds`);
}

function cumulative(t: CaseContext): { readonly cumulative: boolean } {
  return { cumulative: t.supports.settle.mode === 'cumulative' };
}

export const heldLimits: readonly ConformanceCase[] = [
  {
    id: 'F1.prefetch-bounds-held',
    guarantees: ['F1'],
    title: 'A subscription never holds more than its prefetch, whatever its concurrency, polls under way included.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const limit = 3;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const consumers = await Promise.all(
        [1, 8].map((handlers) =>
          t.consume(
            bus,
            orders,
            { group: t.group(`c${handlers}`), prefetch: limit, concurrency: handlers, ...shortDrain },
            () => gate.enter(),
          ),
        ),
      );
      const [one, eight] = consumers as [Consumer, Consumer];
      await t.load(bus, orders, { each: 50 });
      await t.until(() => one.running === 1 && eight.running === limit, 'as many handlers run as may');
      for (const consumer of consumers)
        t.ok((await restingHold(t, consumer)) <= limit, `${consumer.name} holds at most ${limit}`);
      await t.load(bus, orders, { each: 20 });
      for (const consumer of consumers)
        t.ok((await restingHold(t, consumer)) <= limit, `${consumer.name} holds at most ${limit} again`);
      t.equal([one.running, eight.running], [1, limit], 'handlers running');
      gate.open();
      await t.until(() => consumers.every((consumer) => consumer.distinct === 70), 'all 70 reach both groups');
      return t.judge(
        held({ limit, ...cumulative(t) }),
        concurrency({ limit: 1, groups: [one.group] }),
        concurrency({ limit, groups: [eight.group] }),
        lost(),
        guard({ confirmed: 70, returned: 140 }),
      );
    },
  },
  {
    id: 'F1.broker-sees-bounded-in-flight',
    guarantees: ['F1'],
    title: 'The broker itself counts no more deliveries in flight than the prefetch.',
    cost: 'slow',
    spy: true,
    declinedBy: ({ settle }) =>
      settle.mode === 'cumulative'
        ? 'settle.mode: a broker that keeps a watermark does not know what is in flight'
        : null,
    run: async (t: CaseContext) => {
      const limit = 6;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const options: SubscribeOptions = {
        group: t.group('inventory'),
        prefetch: limit,
        concurrency: limit,
        ...shortDrain,
      };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { each: 2 * limit + 10 });
      await t.until(() => consumer.running === limit, 'all handlers are busy');
      for (let look = 0; look < 3; look++) {
        await restingHold(t, consumer);
        const inFlight = (): Promise<number> => t.spy.inFlight(orders.name, consumer.group);
        await t.until(async () => (await inFlight()) === limit, 'as many are in flight as the prefetch allows');
        await t.load(bus, orders, { each: 5 });
      }
      gate.open();
      await t.until(() => consumer.distinct === 2 * limit + 25, 'all are delivered');
      return t.judge(held({ limit, ...cumulative(t) }), lost());
    },
  },
  {
    id: 'F1.concurrency-below-prefetch',
    guarantees: ['F1'],
    title: 'Handlers never exceed the concurrency, though more deliveries are held.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const handlers = 4;
      const prefetch = 20;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const options: SubscribeOptions = { group: t.group('inventory'), prefetch, concurrency: handlers, ...shortDrain };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { each: 60 });
      await t.until(() => consumer.running === handlers, 'all handlers are busy');
      const most = await t.settled(() => consumer.running, 'handlers');
      t.equal(most, handlers, 'most handlers at once');
      const holds = await restingHold(t, consumer);
      t.ok(holds > handlers && holds <= prefetch, `it holds ${holds}; more than ${handlers}, at most ${prefetch}`);
      gate.open();
      await t.until(() => consumer.distinct === 60, 'all 60 are delivered');
      return t.judge(concurrency({ limit: handlers }), held({ limit: prefetch, ...cumulative(t) }), lost());
    },
  },
  {
    id: 'F1.partitions-share-the-prefetch',
    guarantees: ['F1', 'O5'],
    title: 'One prefetch bounds all partitions of a subscription together.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const limit = 24;
      const keys = 100;
      const orders = t.topic('orders', { ordering: 'key' });
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const options: SubscribeOptions = {
        group: t.group('inventory'),
        prefetch: limit,
        concurrency: 100,
        ...shortDrain,
      };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { keys, each: 3 });
      await t.until(() => consumer.running >= limit / 2, 'many handlers run');
      t.ok((await restingHold(t, consumer)) <= limit, `it holds at most ${limit}`);
      await t.load(bus, orders, { keys, each: 1 });
      t.ok((await restingHold(t, consumer)) <= limit, `it holds at most ${limit} again`);
      gate.open();
      await t.until(() => consumer.distinct === 4 * keys, 'all are delivered');
      return t.judge(held({ limit, ...cumulative(t) }), concurrency({ limit }), lost());
    },
  },
  {
    id: 'F1.bytes-bound-held',
    guarantees: ['F1'],
    title: 'A subscription that holds its bound of bytes asks for no more.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const enough = 4;
      const bytes = Math.min(262_144, Math.floor(t.supports.publish.size.text / 2));
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const limits = { prefetch: 30, concurrency: 30, prefetchBytes: enough * bytes };
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), ...limits, ...shortDrain }, () =>
        gate.enter(),
      );
      const data = 'x'.repeat(bytes);
      // One by one, so that no receive brings more than one and the bound is met exactly.
      for (let sent = 1; sent <= enough; sent++) {
        await t.publish(bus, orders, null, { data });
        await t.until(() => consumer.count === sent, `${sent} are held`);
      }
      await t.load(bus, orders, { each: 10, data: () => data });
      t.equal(
        await t.settled(() => consumer.count, 'deliveries'),
        enough,
        'deliveries while the bound of bytes is reached',
      );
      const judgement = t.judge(heldBytes({ limit: enough * bytes, overshoot: bytes, sent: 10, ...cumulative(t) }));
      gate.open();
      await t.until(() => consumer.distinct === enough + 10, 'the others come when there is room');
      t.judge(lost(), guard({ confirmed: enough + 10 }));
      return judgement;
    },
  },
  {
    id: 'F1.limits-hold-after-reconnect',
    guarantees: ['F1', 'L1'],
    title: 'After a reconnect the old limits hold, handlers that are still running counted.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const limit = 5;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders], config: { reconnect: { max: '200ms' } } });
      const options: SubscribeOptions = {
        group: t.group('inventory'),
        prefetch: limit,
        concurrency: limit,
        ...shortDrain,
      };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { each: 3 * limit + 10 });
      await t.until(() => consumer.running === limit, 'all handlers are busy');
      for (let round = 0; round < 3; round++) {
        const attached = t.history.of('arrive').length;
        const heal = await t.fault.cut();
        // A subscription that holds all it may asks for nothing; a publish notices the loss.
        const publish = t.publish(bus, orders);
        await t.until(() => bus.health().status === 'reconnecting', 'the loss is noticed');
        await heal();
        await publish;
        await t.until(() => consumer.subscription.status === 'subscribed', 'the subscription stands again');
        await t.until(() => t.history.of('arrive').length > attached, 'it receives again');
        t.ok((await restingHold(t, consumer)) <= limit, `it holds at most ${limit} after reconnect ${round + 1}`);
        t.ok(consumer.running <= limit, `${consumer.running} handlers run; the concurrency is ${limit}`);
      }
      gate.open();
      await t.until(() => consumer.distinct === 3 * limit + 13, 'all are delivered');
      return t.judge(
        held({ limit, ...cumulative(t) }),
        concurrency({ limit }),
        lost(),
        guard({ faults: 3, busyAtFault: true }),
      );
    },
  },
];
