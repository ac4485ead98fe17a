import { fixed } from '@waybill/core';
import type { Adapter, AdapterSubscription, Receipt } from '@waybill/core/adapter';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, resettled } from '../../checkers/index.ts';
import { gate } from '../gate.ts';
import { withSubscriptions } from '../wrapped.ts';

/** The same adapter, saying each ack twice. */
function ackingTwice(adapter: Adapter): Adapter {
  return withSubscriptions(adapter, (inner) => ({
    ack: async (receipts) => {
      const results = await inner.ack(receipts);
      await inner.ack(receipts).catch(() => undefined); // whether it may be said again is the adapter's business
      return results;
    },
  }));
}

export const harmlessSettles: readonly ConformanceCase[] = [
  {
    id: 'R9.twice',
    guarantees: ['R9', 'D3'],
    title: 'Settling a message twice changes nothing for it, for others, or for the subscription.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders] });
      const bus = await t.connect({ topics: [orders], wrap: ackingTwice });
      // Half is settled, twice, while the other half is held: what a second ack hit of that would be missing later.
      const held = gate();
      const options = { group, concurrency: 200, prefetch: 200, drain: 200 };
      const first = await t.consume(bus, orders, options, ({ payload }) =>
        payload.seq > 100 ? held.opened : t.pass(1),
      );
      await t.load(publisher, orders, { each: 200, concurrency: 1 });
      await t.until(() => first.returned >= 100 && first.running > 0, 'the first half is settled, the second is held');
      await t.straggle();
      await t.within(first.close(), 'the consumer closes');
      held.open();
      const next = await t.consume(await t.connect({ topics: [orders] }), orders, { group });
      const total = 30_000 + t.supports.deliver.redelivery.bound;
      await t.until(() => next.distinct >= 100, 'the second half comes again', { total });
      await t.sentinel(publisher, orders, [next]);
      t.equal(
        next.deliveries.filter((one) => (one.seq ?? 0) > 100).length,
        100,
        'messages of the second half that came again',
      );
      const repeats = t.supports.settle.repeats;
      return t.judge(lost({ handled: true }), resettled({ repeats }), guard({ confirmed: 200 }));
    },
  },
  {
    id: 'R9.ack-after-nack',
    guarantees: ['R9', 'L2'],
    title: 'A message that was given back stays given back, though its old receipt is settled afterwards.',
    needs: { 'settle.nack': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      let late = 0;
      const publisher = await t.connect({ topics: [orders] });
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          withSubscriptions(adapter, (inner) =>
            inner.nack === undefined
              ? {}
              : {
                  nack: async (receipts, options) => {
                    await inner.nack?.(receipts, options);
                    late += receipts.length;
                    await inner.ack(receipts).catch(() => undefined);
                  },
                },
          ),
      });
      await t.load(publisher, orders, { each: 30 });
      const held = gate();
      const old = await t.consume(bus, orders, { group, concurrency: 2, prefetch: 30 }, () => held.opened);
      await t.until(() => old.running === 2 && old.subscription.held >= 10, 'two are being handled, more are held');
      const closing = t.track('close', old.close());
      held.open();
      await t.within(closing, 'the consumer drains');
      t.ok(late > 0, 'some were given back and then acked');
      const next = await t.consume(await t.connect({ topics: [orders] }), orders, { group });
      await t.until(() => old.count + next.distinct >= 30, 'what was given back comes again', { total: 10_000 });
      await t.sentinel(publisher, orders, [next]);
      return t.judge(
        lost(),
        duplicated({ forbidden: t.supports.settle.repeats === 'never' }),
        guard({ confirmed: 30 }),
      );
    },
  },
  {
    id: 'R9.after-reconnect',
    guarantees: ['R9', 'L1', 'D5'],
    title:
      'A handler that ends after its connection was lost settles nothing, harms nothing, and its message comes again.',
    cost: 'fault',
    faults: ['cut'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders] });
      const bus = await t.connect({ topics: [orders] });
      const held = gate();
      const consumer = await t.consume(bus, orders, { group, concurrency: 4 }, (_message, _context, { nth }) =>
        nth === 1 ? held.opened : undefined,
      );
      await t.load(publisher, orders, { each: 20 });
      await t.until(() => consumer.running === 4, 'four are being handled');
      const heal = await t.fault.cut(bus);
      await t.until(() => t.history.of('detached').length > 0, 'core has noticed the loss');
      await heal();
      held.open();
      const total = 30_000 + t.supports.deliver.redelivery.bound;
      const settled = (): number =>
        new Set(t.history.arrivals.filter((one) => one.ackedWall !== null).map((one) => one.id)).size;
      await t.until(() => consumer.distinct >= 20, 'all are delivered', { total });
      if (t.supports.settle.mode === 'individual') await t.until(() => settled() >= 20, 'all are settled', { total });
      await t.sentinel(publisher, orders, [consumer]);
      const zombies = consumer.deliveries.slice(0, 4);
      for (const { id } of zombies)
        t.ok(consumer.deliveries.filter((one) => one.id === id).length >= 2, `message ${id} comes again`);
      return t.judge(lost({ handled: true }), guard({ faults: 1, busyAtFault: true }));
    },
  },
  {
    id: 'R9.after-lease-loss',
    guarantees: ['R9', 'D6', 'D3'],
    title: 'A handler that ends after its lease was lost settles nobody else, and its message is handled again.',
    needs: { lease: true },
    cost: 'fault',
    faults: ['take-over'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders] });
      const [mine, theirs] = [await t.connect({ topics: [orders] }), await t.connect({ topics: [orders] })];
      t.allowLog(/lease/);
      const [first, second] = [gate(), gate()];
      const old = await t.consume(mine, orders, { group, concurrency: 4, prefetch: 4 }, (_message, _context, { nth }) =>
        nth === 1 ? first.opened : undefined,
      );
      await t.load(publisher, orders, { each: 4 });
      await t.until(() => old.running === 4, 'four are being handled');
      const next = await t.consume(theirs, orders, { group, concurrency: 4 }, () => second.opened);
      await t.fault.takeOver(old);
      // All of them: of one that nobody has yet, the old receipt may still be the one that counts.
      await t.until(() => old.count + next.count >= 8, 'all come again');
      // The old handlers end while the new ones run: their acks must not settle what those hold.
      first.open();
      await t.until(() => old.running === 0, 'the old handlers end');
      second.open();
      await t.load(publisher, orders, { each: 20 });
      await t.until(
        () => new Set([...old.deliveries, ...next.deliveries].map(({ id }) => id)).size >= 24,
        'others go on',
      );
      await t.sentinel(publisher, orders, [old, next]);
      const again = t.history.arrivals.filter((one) => one.settles.some((settle) => settle.result === 'lost'));
      t.note(`${again.length} settles came too late`);
      return t.judge(
        lost({ handled: true }),
        resettled({ repeats: t.supports.settle.repeats }),
        guard({ faults: 1, busyAtFault: true }),
      );
    },
  },
  {
    id: 'R9.by-a-stranger',
    guarantees: ['R9', 'D3'],
    title: 'A receipt that another consumer settles touches no message but its own.',
    cost: 'quick',
    declinedBy: ({ settle }) =>
      settle.mode === 'individual' ? null : 'a receipt settles all before it, by its nature',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const receipts: Receipt[] = [];
      let strangersAck: AdapterSubscription['ack'] | null = null;
      const publisher = await t.connect({ topics: [orders] });
      const mine = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          withSubscriptions(adapter, (inner) => ({
            receive: async (...args) => {
              const deliveries = await inner.receive(...args);
              receipts.push(...deliveries.map(({ receipt }) => receipt));
              return deliveries;
            },
          })),
      });
      const theirs = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          withSubscriptions(adapter, (inner) => {
            strangersAck = (...args) => inner.ack(...args);
            return {};
          }),
      });
      const held = gate();
      const retry = { attempts: 2, backoff: fixed(10) };
      const options = { group, concurrency: 3, prefetch: 6, retry, drain: 200 };
      const [one, two] = [
        await t.consume(mine, orders, options, () => held.opened),
        await t.consume(theirs, orders, options, () => held.opened),
      ];
      await t.load(publisher, orders, { each: 30 });
      await t.until(() => receipts.length >= 3 && one.running === 3 && two.running === 3, 'both are handling messages');
      const ack = strangersAck as AdapterSubscription['ack'] | null;
      if (ack === null) return t.fail('the second consumer has no subscription');
      await ack([...receipts]).catch(() => undefined);
      // What the second one holds has not been handled: it must come again.
      await t.within(two.close(), 'the second consumer closes');
      held.open();
      const total = 30_000 + t.supports.deliver.redelivery.bound;
      await t.until(() => one.distinct >= 30, 'all are delivered to the first', { total });
      await t.sentinel(publisher, orders, [one]);
      return t.judge(lost({ handled: true }), guard({ confirmed: 30 }));
    },
  },
];
