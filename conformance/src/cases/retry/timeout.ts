import { fixed } from '@waybill/core';
import type { Consumer } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { gate } from '../gate.ts';
import { deadLetters, heard } from './letters.ts';

export const handlerTimeout: readonly ConformanceCase[] = [
  {
    id: 'R12.signal-and-attempt',
    guarantees: ['R12', 'R1'],
    title:
      'A handler that outlasts its timeout is told by its signal, and its attempt has failed, whatever it returns.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const told: { arrival: number | null; nth: number; at: number; ms: number }[] = [];
      const retry = { attempts: 2, backoff: fixed(10) };
      const consumer = await t.consume(
        bus,
        orders,
        { group, retry, timeout: 150 },
        async ({ payload }, { signal }, run) => {
          if (payload.seq % 2 === 1) return;
          const began = t.now();
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
          told.push({ arrival: run.arrival, nth: run.nth, at: t.now(), ms: t.now() - began });
          if (payload.seq % 4 === 0) throw signal.reason; // the others return: too late is too late
        },
      );
      await t.load(bus, orders, { each: 12 });
      await t.until(() => dead.length >= 6, 'those that take too long are dead-lettered');
      t.equal(consumer.count, 6 + 2 * 6, 'handler runs');
      await t.sentinel(bus, orders, [consumer]);
      const arrived = new Map(t.history.arrivals.map((one) => [one.arrival, one.at]));
      for (const { arrival, nth, at, ms } of told) {
        t.ok(ms <= 150 + t.scaled(2_000), `the signal fires at the timeout (after ${ms.toFixed(0)} ms)`);
        // The timeout starts a little before the handler, and surely not before the message was there.
        const least = nth > 1 || arrival === null ? Number.POSITIVE_INFINITY : at - (arrived.get(arrival) ?? 0);
        t.ok(least >= 149, `the signal fires not before the timeout (${least.toFixed(0)} ms after the arrival)`);
      }
      t.equal(told.length, 12, 'signals');
      const runs = consumer.deliveries.filter((one) => (one.seq ?? 0) % 2 === 0).map((one) => one.attempt - one.nth);
      t.equal(new Set(runs), new Set([0]), 'attempts, each one more than the one before');
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(
        letters.map((one) => [one.code, one.attempts]),
        letters.map(() => ['exhausted', 2]),
        'dead letters',
      );
      for (const { message } of letters) t.ok(message.includes('timeout'), `the dead letter says why: '${message}'`);
      return t.judge(lost(), guard({ confirmed: 12 }));
    },
  },
  {
    id: 'R12.key-stays-held',
    guarantees: ['R12', 'O1', 'O2'],
    title: 'A key stays held until the handler that ran into its timeout has really ended.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const deaf = gate();
      const fired: boolean[] = [];
      // Longer than the case takes: at its end the key would be let go.
      const lease = Math.min(60_000, t.supports.lease.max ?? Infinity);
      const options = { group, concurrency: 8, timeout: 100, lease, retry: { attempts: 3, backoff: fixed(10) } };
      const consumer = await t.consume(bus, orders, options, async ({ key, payload }, { signal }, { nth }) => {
        if (key !== 'k1' || payload.seq !== 2 || nth !== 1) return;
        signal.addEventListener('abort', () => fired.push(true));
        await deaf.opened;
      });
      await t.load(bus, orders, { keys: 6, each: 5 });
      await t.until(() => fired.length === 1, 'the timeout is over');
      const others = ['k2', 'k3', 'k4', 'k5', 'k6'];
      await t.sentinel(bus, orders, [consumer], { keys: others });
      await t.settled(() => consumer.count, 'the deliveries');
      t.equal(consumer.running, 1, 'handlers that run: the deaf one');
      t.equal(consumer.count, 5 * 5 + 2, 'handler runs: the other keys go on, its own waits');
      deaf.open();
      await t.until(() => consumer.distinct >= 30, 'the key goes on');
      await t.sentinel(bus, orders, [consumer]);
      const again = consumer.deliveries.filter((one) => one.key === 'k1' && one.seq === 2).map((one) => one.attempt);
      t.equal(again, [1, 2], 'attempts of the message that timed out');
      return t.judge(overlapped(), reordered({ hold: false }), lost());
    },
  },
  {
    id: 'R12.until-the-lease-ends',
    guarantees: ['R12', 'D6'],
    title:
      'A message whose handler has run into its timeout and never ends comes again when its lease does, and not before.',
    needs: { lease: true },
    cost: 'slow',
    timeout: ({ lease, deliver }) => 30_000 + 4 * Math.max(1_000, lease.granularity) + deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders] });
      const lease = Math.max(1_000, t.supports.lease.granularity);
      const options = {
        group,
        lease,
        timeout: 100,
        concurrency: 4,
        drain: 200,
        retry: { attempts: 3, backoff: fixed(10) },
      };
      t.allowLog(/lease/);
      const bus = await t.connect({ topics: [orders] });
      const lostLeases = heard(bus, 'lease-lost');
      const deaf = gate();
      const old = await t.consume(bus, orders, options, (_message, _context, { nth }) =>
        nth === 1 ? deaf.opened : undefined,
      );
      await t.load(publisher, orders, { each: 3 });
      await t.until(() => old.running === 3, 'all are being handled');
      const began = t.now();
      const join = async (): Promise<Consumer> => t.consume(await t.connect({ topics: [orders] }), orders, options);
      // Where partitions have owners, one that joins is handed some at once, with what is held there.
      const early = t.supports.settle.mode === 'individual' ? await join() : null;
      const again = (): number => (early?.returned ?? 0) + old.deliveries.filter((one) => one.nth > 1).length;
      await t.until(() => again() >= 3, 'all come again', { total: 30_000 + t.supports.deliver.redelivery.bound });
      const took = t.now() - began;
      t.measure('redeliveredAfterTimeout', took);
      const next = early ?? (await join());
      t.ok(took >= lease / 2, `they come again only when the lease ends (${took.toFixed(0)} ms; lease ${lease} ms)`);
      await t.until(() => lostLeases.length >= 3, 'the loss is reported');
      deaf.open();
      await t.until(() => old.running === 0, 'the old handlers end');
      await t.sentinel(publisher, orders, [old, next]);
      return t.judge(lost({ handled: true }), guard({ confirmed: 3 }));
    },
  },
  {
    id: 'R12.all-handlers-deaf',
    guarantees: ['R12', 'D6'],
    title: 'A consumer whose handlers never end, not one of them, keeps nothing from the others of its group.',
    needs: { lease: true },
    cost: 'slow',
    timeout: ({ lease, deliver }) => 30_000 + 4 * Math.max(1_000, lease.granularity) + 2 * deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders] });
      const lease = Math.max(1_000, t.supports.lease.granularity);
      const options = { group, lease, timeout: 100, drain: 200, retry: { attempts: 3, backoff: fixed(10) } };
      t.allowLog(/lease/);
      const deaf = gate();
      const old = await t.consume(
        await t.connect({ topics: [orders] }),
        orders,
        { ...options, concurrency: 1, prefetch: 10 },
        () => deaf.opened,
      );
      await t.load(publisher, orders, { each: 4 });
      await t.until(() => old.running === 1, 'one is being handled, the others wait');
      const next = await t.consume(await t.connect({ topics: [orders] }), orders, options);
      await t.until(() => next.returned >= 4, 'all come to the other consumer', {
        total: 30_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      t.equal(old.count, 1, 'handler runs of the deaf consumer');
      deaf.open();
      await t.until(() => old.running === 0, 'the deaf handler ends');
      await t.sentinel(publisher, orders, [old, next]);
      return t.judge(lost({ handled: true }), guard({ confirmed: 4 }));
    },
  },
];
