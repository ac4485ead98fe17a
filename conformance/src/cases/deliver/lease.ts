import { fixed } from '@waybill/core';
import type { Supports } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost, overlapped } from '../../checkers/index.ts';
import { blockedSince, mustRun, shortest } from '../pace.ts';
import { once } from '../repeats.ts';

const needs = { lease: true } as const;

const timeout = ({ lease }: Supports): number => 60_000 + 10 * lease.granularity;

export const leases: readonly ConformanceCase[] = [
  {
    id: 'D6.kept-while-the-handler-runs',
    guarantees: ['D6', 'D3'],
    title: 'A handler that takes three times the lease keeps its message; a second consumer sees nothing of it.',
    needs,
    cost: 'slow',
    declinedBy: ({ lease }) => tooShort(lease.max, 8),
    timeout,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const blocked = blockedSince();
      const lease = shortest(t);
      const bus = await t.connect({ topics: [orders] });
      let fired = 0;
      const options = { group, lease, concurrency: 10, prefetch: 10 };
      const first = await t.consume(bus, orders, options, async (_message, context) => {
        context.signal.addEventListener('abort', () => (fired += 1));
        await t.pass(3 * lease);
      });
      await t.load(bus, orders, { each: 10 });
      await t.until(() => first.running === 10, 'ten are being handled');
      const second = await t.consume(await t.connect(), orders, options);
      await t.until(() => first.returned === 10, 'all have ended', { total: 30_000 + 6 * lease });
      await t.sentinel(bus, orders, [first, second]);
      if (second.count > 0 || fired > 0) mustRun(lease, blocked);
      t.equal([second.count, fired], [0, 0], 'handler runs of the second consumer, and signals');
      return t.judge(duplicated({ forbidden: once(t) }), overlapped(), attempts(), lost(), guard({ confirmed: 10 }));
    },
  },
  {
    id: 'D6.all-that-is-held-is-kept',
    guarantees: ['D6', 'R3'],
    title: 'Messages that wait in the prefetch keep their lease too, to the last one.',
    needs,
    cost: 'slow',
    declinedBy: ({ lease }) => tooShort(lease.max, 12),
    timeout,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const blocked = blockedSince();
      const lease = shortest(t);
      const bus = await t.connect({ topics: [orders] });
      await t.provision(orders, [group]);
      await t.load(bus, orders, { each: 6 });
      const options = { group, lease, concurrency: 1, prefetch: 6 };
      const first = await t.consume(bus, orders, options, () => t.pass(0.7 * lease));
      await t.until(() => first.running === 1, 'the first is being handled');
      const held = (): number => t.history.arrivals.filter((one) => one.consumer === first.name).length;
      await t.until(() => held() >= 6, 'all six are held');
      const second = await t.consume(await t.connect(), orders, options);
      await t.until(() => first.returned + second.returned >= 6, 'all have ended', { total: 30_000 + 10 * lease });
      await t.sentinel(bus, orders, [first, second]);
      if (first.count + second.count > 6) mustRun(lease, blocked);
      // Where partitions have owners, one that joins is handed some, with what had not begun there.
      const runs = t.supports.settle.mode === 'cumulative' ? [6] : [6, 0];
      const seen = runs.length === 1 ? [first.count + second.count] : [first.count, second.count];
      t.equal(seen, runs, 'handler runs of both consumers');
      return t.judge(duplicated({ forbidden: once(t) }), attempts(), lost({ since: 'all' }), guard({ confirmed: 6 }));
    },
  },
  {
    id: 'D6.lost-lease-fires-the-signal',
    guarantees: ['D6', 'R9', 'O3'],
    title:
      'When a lease is lost the signal fires, no ack is sent, publishing through the context is refused, and another settles.',
    needs,
    cost: 'fault',
    faults: ['take-over'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const lease = shortest(t);
      const reader = await t.connect({ topics: [orders] });
      const codes: unknown[] = [];
      const options = { group, lease, concurrency: 5, prefetch: 5 };
      const first = await t.consume(reader, orders, options, async (message, context, { nth }) => {
        if (nth > 1) return;
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
        const publish = context.publish(orders, { ...message.payload, seq: 1_000 });
        codes.push(
          await publish.then(
            () => 'published',
            (error: { code: unknown }) => error.code,
          ),
        );
      });
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => first.running === 5, 'five are being handled');
      const second = await t.consume(bus, orders, { group, lease });
      await t.fault.takeOver(first);
      const began = t.now();
      await t.until(() => t.history.of('signal').length >= 5, 'the signals fire', { total: 2 * lease + 2_000 });
      t.measure('lossDetectedMs', Math.round(t.now() - began));
      await t.until(() => codes.length >= 5, 'the handlers end');
      t.equal(
        codes,
        Array.from({ length: 5 }, () => 'closed'),
        'what publishing through the lost context said',
      );
      await t.until(() => first.count + second.count >= 10, 'they are handled again');
      await t.sentinel(bus, orders, [second, first]);
      const acked = t.history.arrivals.filter(
        (one) =>
          one.consumer === first.name &&
          one.ackedWall !== null &&
          t.history.of('fault.start').some(({ wall }) => one.wall < wall),
      );
      t.equal(acked.length, 0, 'acks of the consumer that had lost them');
      return t.judge(attempts(), lost({ handled: true }), guard({ confirmed: 5, faults: 1, busyAtFault: true }));
    },
  },
  {
    id: 'D6.extension-fails',
    guarantees: ['D6', 'L1'],
    title: 'When a lease can not be extended because nothing passes, the signal fires before it ends for others.',
    needs,
    cost: 'fault',
    faults: ['stall'],
    timeout: ({ deliver }) => 120_000 + 3 * deliver.redelivery.bound,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const lease = shortest(t);
      const reader = await t.connect({ topics: [orders] });
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 5 });
      t.allowLog(/ack of|give back|close of|disconnected|stalled/);
      const signalled: number[] = [];
      const options = { group, lease, concurrency: 5, prefetch: 5 };
      const first = await t.consume(reader, orders, options, async (_message, { signal }, { nth }) => {
        if (nth > 1) return;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        signalled.push(t.now());
      });
      await t.until(() => first.running === 5, 'five are being handled');
      const heal = await t.fault.stall();
      const blocked = blockedSince();
      const began = t.now();
      await t.until(() => signalled.length >= 5, 'the signals fire', { total: 3 * lease + 2_000 });
      // Extended at half of the lease: the last extension that passed gives at most one lease from the stall on.
      t.measure('signalAfterMs', Math.round(Math.max(...signalled) - began));
      t.ok(
        Math.max(...signalled) - began <= t.scaled(1.25 * lease + 250) + blocked(),
        'the signals came later than the lease allows',
      );
      await heal();
      await first.close();
      await t.drainAll(orders, [group], { lease });
      return t.judge(
        attempts(),
        lost({ since: 'all', handled: true }),
        guard({ confirmed: 5, faults: 1, busyAtFault: true }),
      );
    },
  },
  {
    id: 'D6.retry-that-outlasts-the-lease',
    guarantees: ['D6', 'R13', 'L5'],
    title: 'An in-place retry policy that could outlast the longest lease is refused, before anything is sent.',
    needs,
    cost: 'quick',
    declinedBy: ({ lease }) => (lease.max === null ? 'lease.max: a message may be held for any time' : null),
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const backoff = fixed(Math.ceil((t.supports.lease.max ?? 0) / 2));
      const retry = { attempts: 4, mode: 'in-place' as const, backoff };
      const error = await t.expectError(t.consume(bus, orders, { group: t.group('inventory'), retry }), 'unsupported');
      t.equal(error.message.includes('lease'), true, `the refusal names the lease: ${error.message}`);
      t.equal(t.history.of('group.ready').length, 0, 'groups made');
    },
  },
];

function tooShort(max: number | null, times: number): string | null {
  return max === null || max >= times * 1_000 ? null : 'lease.max is too short for a handler that outlasts a lease';
}
