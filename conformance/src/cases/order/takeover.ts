import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { gate } from '../gate.ts';

const needs = { 'order.key': true } as const;
const keys = 24;

/** Owners that are gone without a word, or do not know that they are owners no more. */
export const orderAcrossTakeOver: readonly ConformanceCase[] = [
  {
    id: 'O3.killed-owner',
    guarantees: ['O3', 'D5'],
    title: 'After a consumer has died, the next starts each of its keys at the first message that was not settled.',
    needs,
    cost: 'slow',
    faults: ['crash-connection'],
    timeout: ({ deliver }) => 30_000 + 2 * deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const doomed = await t.connect({ topics: [orders] });
      // The first two of each key are done; the third is being handled when it dies, with more behind it.
      const done = new Set<string>();
      const old = await t.consume(doomed, orders, { group, concurrency: keys }, async ({ id, payload }) => {
        if (payload.seq > 2) await gate().opened;
        await t.pass(1);
        done.add(id);
      });
      await t.load(bus, orders, { keys, each: 6 });
      await t.until(() => old.running === keys, 'the third message of each key is being handled');
      await t.fault.crash(doomed);
      const next = await t.consume(
        await t.connect({ topics: [orders] }),
        orders,
        { group, concurrency: keys },
        ({ id }) => {
          done.add(id);
        },
      );
      const total = 30_000 + t.supports.deliver.redelivery.bound;
      await t.until(() => done.size >= keys * 6, 'the next consumer handles the rest', { total });
      await t.sentinel(bus, orders, [next]);
      const forced = t.supports.order.handover.forced;
      return t.judge(
        reordered(),
        overlapped({ forced: forced === null ? null : t.scaled(forced) }),
        lost({ handled: true }),
        duplicated(),
        guard({ confirmed: keys * 6, faults: 1, busyAtFault: true }),
      );
    },
  },
  {
    id: 'O3.zombie-changes-nothing',
    guarantees: ['O3', 'R9', 'L1'],
    title: 'A consumer that has lost its messages is told so, and can neither settle them nor publish for them.',
    needs,
    cost: 'fault',
    faults: ['cut'],
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const results = t.topic('results');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders, results] });
      const mine = await t.connect({ topics: [orders, results] });
      const theirs = await t.connect({ topics: [orders, results] });
      const zombies = gate();
      const publishes: Promise<unknown>[] = [];
      const signals: AbortSignal[] = [];
      const done = new Set<string>();
      let cut = false;
      const old = await t.consume(mine, orders, { group, concurrency: keys }, async (message, context) => {
        // After it has come back it is an owner like any other.
        if (cut) return void done.add(message.id);
        signals.push(context.signal);
        await zombies.opened;
        const result = context.publish(results, { run: t.run, case: t.id, key: null, seq: message.payload.seq });
        publishes.push(result);
        await result;
      });
      await t.load(bus, orders, { keys, each: 3 });
      await t.until(() => old.running === keys, 'the first message of each key is being handled');
      cut = true;
      const heal = await t.fault.cut(mine);
      const successors = gate();
      const next = await t.consume(theirs, orders, { group, concurrency: keys }, async ({ id }) => {
        await successors.opened;
        done.add(id);
      });
      const total = 30_000 + t.supports.deliver.redelivery.bound;
      await t.until(() => next.count > 0, 'the new owner has started', { total });
      await t.until(() => signals.every((signal) => signal.aborted), "the old handlers' signals fire", { total });
      const forced = t.now();
      zombies.open();
      await t.until(() => publishes.length === keys, 'the old handlers try to publish');
      for (const publish of publishes) await t.expectError(publish, 'closed');
      t.measure('zombiesEnded', t.now() - forced);
      successors.open();
      await heal();
      await t.until(() => done.size >= keys * 3, 'everything is handled', { total });
      await t.sentinel(bus, orders, [old, next]);
      const settledByZombie = t.history.deliveries
        .filter((run) => run.consumer === old.name && run.outcome === 'aborted')
        .filter((run) => t.history.arrivals.some((one) => one.arrival === run.arrival && one.ackedWall !== null));
      t.equal(settledByZombie.length, 0, 'deliveries that a handler without ownership has settled');
      t.equal(t.history.of('send').filter((one) => one.topic === results.name).length, 0, 'sends of such handlers');
      fencesGrow(t);
      // Old handlers ran until they were let go here, so how long they overlapped is not the question.
      return t.judge(
        overlapped({ forced: null }),
        reordered({ hold: false }),
        lost({ handled: true }),
        guard({ faults: 1, busyAtFault: true }),
      );
    },
  },
];

/** Where there is a fence: per partition it never falls, and a later owner's is higher. */
function fencesGrow(t: CaseContext): void {
  if (t.supports.order.fence.by === 'refused') return;
  const latest = new Map<string, { fence: number; consumer: string }>();
  let moved = 0;
  for (const run of t.history.deliveries) {
    if (run.partition === null) continue;
    const { fence, partition, consumer } = run;
    if (fence === null) t.fail(`message ${run.id} came without a fence`);
    const before = latest.get(partition);
    if (before !== undefined && before.consumer !== consumer) {
      moved += 1;
      t.ok(
        fence > before.fence,
        `the fence of partition ${partition} grows with its owner: ${before.fence}, then ${fence}`,
      );
    } else t.ok(before === undefined || fence >= before.fence, `the fence of partition ${partition} does not fall`);
    latest.set(partition, { fence, consumer });
  }
  t.ok(moved > 0, 'a partition has changed its owner');
}
