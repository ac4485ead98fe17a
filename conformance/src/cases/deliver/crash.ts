import type { Supports } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, gapCommitted, guard, lost, redelivered, resettled, unexpected } from '../../checkers/index.ts';
import { blockedSince } from '../pace.ts';

const timeout = ({ deliver }: Supports): number => 60_000 + 3 * deliver.redelivery.bound;

export const crash: readonly ConformanceCase[] = [
  {
    id: 'D5.killed-with-messages-in-flight',
    guarantees: ['D5', 'D1'],
    title: 'What a killed consumer had in flight comes again within the declared bound; what it had settled does not.',
    cost: 'slow',
    faults: ['kill-consumer'],
    timeout,
    run: async (t: CaseContext) => {
      const blocked = blockedSince();
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      // Every message from 101 on blocks, so that ten are in flight at the end.
      await t.load(bus, orders, { each: 100 });
      const seqs = Array.from({ length: 10 }, (_, index) => 101 + index);
      const consumer = await t.spawn(orders, { group, concurrency: 10 }, { does: 'block', seqs });
      await t.until(() => consumer.returned >= 100, '100 are handled');
      await settling(t, 100);
      await t.load(bus, orders, { each: 60 });
      await t.until(() => consumer.started >= 110, 'ten are in flight');
      await t.settled(() => consumer.started, 'handlers that start');
      await consumer.kill();
      await t.drainAll(orders, [group]);
      const { redelivery } = t.supports.deliver;
      const { repeats, mode } = t.supports.settle;
      const again = t.history.deliveries.filter((run) => run.killedWall !== null);
      t.equal(again.length, 10, 'handlers that were running when it was killed');
      return t.judge(
        redelivered({ bound: t.scaled(redelivery.bound) + blocked() }),
        lost({ since: 'all', handled: true }),
        // Cumulative: what was committed is settled, no more.
        resettled({ repeats: mode === 'cumulative' ? 'never' : repeats }),
        attempts({ durable: t.supports.settle.attempts.durable }),
        unexpected(),
        guard({ confirmed: 160, faults: 0 }),
      );
    },
  },
  {
    id: 'D5.settled-out-of-order',
    guarantees: ['D5'],
    title: 'Settled out of order and then killed: what was not settled comes again, a gap is not passed over.',
    cost: 'slow',
    faults: ['kill-consumer'],
    timeout,
    run: async (t: CaseContext) => {
      const blocked = blockedSince();
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const total = 60;
      for (let index = 0; index < total; index++) await t.publish(bus, orders);
      const seqs = [3, 5, 6, 20, 41];
      const consumer = await t.spawn(orders, { group, concurrency: 20 }, { does: 'block', seqs });
      await t.until(() => consumer.returned >= total - seqs.length, 'all but five are handled');
      // Long enough for a watermark to be committed, were it committed past a gap.
      await settling(t, 1);
      await t.pass(1_500);
      await consumer.kill();
      await t.drainAll(orders, [group]);
      const before = new Set(
        t.history.deliveries.flatMap((run) =>
          run.outcome === 'returned' && run.consumer === consumer.name ? [run.id] : [],
        ),
      );
      const twice = t.history.deliveries.filter((run) => run.consumer !== consumer.name && before.has(run.id)).length;
      t.measure('handledAgain', twice);
      if (t.supports.settle.mode === 'individual' && t.supports.settle.repeats === 'never')
        t.equal(twice, 0, 'messages that were settled and came again');
      const killed = t.history.deliveries.flatMap((run) => (run.killedWall === null ? [] : [run.seq ?? 0]));
      t.equal(
        killed.toSorted((a, b) => a - b),
        seqs,
        'messages in flight when it was killed',
      );
      return t.judge(
        gapCommitted(),
        redelivered({ bound: t.scaled(t.supports.deliver.redelivery.bound) + blocked() }),
        lost({ since: 'all', handled: true }),
        resettled({ repeats: t.supports.settle.repeats }),
        guard({ confirmed: total }),
      );
    },
  },
  {
    id: 'D5.one-of-several-is-killed',
    guarantees: ['D5', 'L1'],
    title: 'When one of several consumers is killed the others go on, and get what it had.',
    cost: 'slow',
    faults: ['kill-consumer'],
    timeout,
    run: async (t: CaseContext) => {
      const blocked = blockedSince();
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const others = await Promise.all(
        [1, 2].map(async () =>
          t.consume(await t.connect({ topics: [orders] }), orders, { group, concurrency: 4 }, () => t.pass(5)),
        ),
      );
      const victim = await t.spawn(orders, { group, concurrency: 4 }, { does: 'return', takes: 50 });
      const bus = await t.connect({ topics: [orders] });
      const stop = new AbortController();
      const flow = t.load(bus, orders, { each: Number.POSITIVE_INFINITY, gap: 2, signal: stop.signal });
      await t.until(() => victim.started >= 10, 'the victim has handled some');
      await victim.kill();
      const seen = (): number => others.reduce((sum, { count }) => sum + count, 0);
      const before = seen();
      await t.until(() => seen() >= before + 100, 'the others go on');
      stop.abort();
      await flow;
      await t.until(() => unhandled(t) === 0, 'everything is handled', {
        total: 30_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      await t.sentinel(bus, orders, others);
      return t.judge(
        lost({ since: 'all', handled: true }),
        redelivered({ bound: t.scaled(t.supports.deliver.redelivery.bound) + blocked() }),
        resettled({ repeats: t.supports.settle.repeats }),
        guard({ confirmed: 100 }),
      );
    },
  },
  {
    id: 'D5.stopped-longer-than-the-lease',
    guarantees: ['D5', 'D6', 'R9'],
    title:
      'A process that is stopped and woken up again has lost what it held: another handles it, and its late ack settles nothing.',
    cost: 'fault',
    faults: ['stop-consumer'],
    timeout,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 5 });
      const lease = Math.max(2_000, t.supports.lease.granularity);
      const takes = 1_500;
      const sleeper = await t.spawn(orders, { group, lease, concurrency: 5 }, { does: 'return', takes });
      await t.until(() => sleeper.started >= 5, 'all five are being handled');
      await sleeper.stop();
      const other = await t.consume(await t.connect({ topics: [orders] }), orders, { group, lease });
      await t.until(() => other.distinct >= 5, 'another consumer gets them', {
        total: 30_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      await sleeper.wake();
      await t.load(bus, orders, { each: 20 });
      await t.until(() => unhandled(t) === 0, 'everything is handled');
      await t.straggle(takes);
      return t.judge(lost({ since: 'all', handled: true }), attempts(), unexpected(), guard({ confirmed: 25 }));
    },
  },
  {
    id: 'D5.closed-with-messages-in-hand',
    guarantees: ['D5', 'L2', 'R3'],
    title: 'A consumer that closes gives back what it has not begun: another one gets it, with attempt 1.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 100 });
      const first = await t.consume(await t.connect(), orders, { group, concurrency: 2, prefetch: 50 }, () =>
        t.pass(100),
      );
      await t.until(() => first.running === 2, 'two are being handled');
      await first.close();
      const began = t.now();
      const second = await t.consume(bus, orders, { group });
      await t.until(() => first.distinct + second.distinct >= 100, 'the other one gets the rest', {
        total: 15_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      t.measure('giveBackMs', Math.round(t.now() - began));
      await t.sentinel(bus, orders, [second]);
      return t.judge(
        attempts(),
        lost({ since: 'all', handled: true }),
        resettled({ repeats: t.supports.settle.repeats }),
        guard({ confirmed: 100 }),
      );
    },
  },
];

/** Confirmed, and no handler of it has returned. */
function unhandled(t: CaseContext): number {
  const { history } = t;
  const done = new Set(history.deliveries.flatMap((run) => (run.outcome === 'returned' ? [run.id] : [])));
  return history.publishes.filter((one) => one.outcome === 'confirmed' && !one.sentinel && !done.has(one.id)).length;
}

/** Waits until the broker has confirmed so many acks, or, where one ack settles many, any. */
async function settling(t: CaseContext, count: number): Promise<void> {
  const wanted = t.supports.settle.mode === 'cumulative' ? 1 : count;
  if (t.history.of('settle.start').length === 0 && t.target.how !== 'embedded') return; // its process keeps its acks to itself
  await t.until(() => t.history.of('settle.ok').length >= wanted, 'acks are confirmed');
}
