import type { Supports } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { SpawnedConsumer } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import type { Judgement } from '../../finding.ts';

const needs = { 'order.key': true } as const;
const concurrency = 10;
const timeout = ({ deliver }: Supports): number => 180_000 + 4 * deliver.redelivery.bound;

/** Consumer processes come, go and are killed while keyed messages flow. */
export const orderAcrossCrashes: readonly ConformanceCase[] = [
  {
    id: 'O3.killed-three-times',
    guarantees: ['O3', 'D5', 'O1'],
    title:
      'Consumer processes killed in the middle of keyed messages lose none of them, keep each key in order, and repeat no more than they held.',
    needs,
    cost: 'fault',
    faults: ['kill-consumer'],
    timeout,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const start = (): Promise<SpawnedConsumer> =>
        t.spawn(orders, { group, concurrency }, { does: 'return', takes: 10 });
      const consumers = await Promise.all([start(), start()]);
      const keys = 50;
      const each = 20 * t.scale;
      const total = keys * each;
      const handled = (): number => consumers.reduce((sum, { returned }) => sum + returned, 0);
      const load = t.load(bus, orders, { keys, each, concurrency: 20 });
      for (const part of [1, 2, 3]) {
        await t.until(() => handled() >= (total * part) / 5, `${part} fifths are handled`, patience(t));
        await consumers.find(({ exited }) => !exited)?.kill();
        consumers.push(await start());
      }
      await load;
      const repeated = await finished(t, consumers, total);
      // What it had handled and not yet settled comes again, too: with what was running no more than it can hold.
      const most = 3 * Math.max(2 * concurrency, t.supports.receive.batch);
      if (t.supports.settle.mode === 'individual')
        t.ok(repeated <= most, `${repeated} messages were repeated; three consumers can hold ${most}`);
      await t.drainAll(orders, [group]);
      return judgement(t, total);
    },
  },
  {
    id: 'O3.consumers-come-and-go',
    guarantees: ['O3', 'D5', 'L2', 'O1'],
    title:
      'While consumer processes join, leave in order or are killed, every message is handled and each key stays in order.',
    needs,
    cost: 'fault',
    faults: ['kill-consumer'],
    timeout,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      const start = (): Promise<SpawnedConsumer> =>
        t.spawn(orders, { group, concurrency }, { does: 'return', takes: 5 });
      const consumers = await Promise.all([start(), start()]);
      const handled = (): number => consumers.reduce((sum, { returned }) => sum + returned, 0);
      const stop = new AbortController();
      const flow = t.load(bus, orders, { keys: 20, each: Infinity, gap: 5, signal: stop.signal });
      for (let round = 0; round < 4 * t.scale; round++) {
        const before = handled();
        await t.until(() => handled() >= before + 50, `messages flow before change ${round + 1}`, patience(t));
        const leaving = t.random.pick(consumers.filter(({ exited }) => !exited));
        const joining = start();
        if (round % 2 === 0) await leaving.kill();
        else await t.within(leaving.drain(), 'a consumer leaves', 30_000);
        consumers.push(await joining);
      }
      stop.abort();
      const total = (await flow).length;
      await finished(t, consumers, total);
      await t.drainAll(orders, [group]);
      return judgement(t, total);
    },
  },
];

/** A killed consumer's messages come again only when the broker knows. */
function patience(t: CaseContext): { total: number } {
  return { total: 30_000 + 2 * t.supports.deliver.redelivery.bound };
}

/** Waits until all are handled, and ends the consumers. How many handlers have returned beside those. */
async function finished(t: CaseContext, consumers: readonly SpawnedConsumer[], total: number): Promise<number> {
  const handled = (): number => consumers.reduce((sum, { returned }) => sum + returned, 0);
  const different = (): number =>
    new Set(t.history.deliveries.flatMap(({ outcome, id }) => (outcome === 'returned' ? [id] : []))).size;
  await t.until(() => handled() >= total && different() >= total, 'everything is handled', patience(t));
  await Promise.all(consumers.map((one) => one.drain()));
  const repeated = handled() - total;
  t.measure('repeated', repeated);
  return repeated;
}

function judgement(t: CaseContext, total: number): Judgement {
  const { forced } = t.supports.order.handover;
  return t.judge(
    lost({ since: 'all', handled: true }),
    reordered(),
    overlapped({ forced: forced === null ? null : t.scaled(forced) }),
    duplicated(),
    guard({ confirmed: total }),
  );
}
