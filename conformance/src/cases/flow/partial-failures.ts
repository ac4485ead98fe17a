import { fixed, type Message } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost } from '../../checkers/index.ts';
import { deadLettered } from './batches.ts';

type Batch = readonly Message<Stamped>[];

interface Run {
  readonly batch: number;
  readonly seq: number;
  readonly attempt: number;
  readonly outcome: 'acked' | 'failed' | 'postponed';
}

const [keys, each] = [8, 6];
/** Message 2 of every other key fails. */
const failing = new Set(['k1', 'k3', 'k5', 'k7']);

/** What each key's messages went through, as a batch handler saw it: later key-mates of a failed one are postponed. */
function watch(
  t: CaseContext,
  fail: (attempt: number) => boolean,
): {
  readonly runs: Map<string, Run[]>;
  readonly handler: Parameters<CaseContext['consumeBatches']>[3];
} {
  const runs = new Map<string, Run[]>();
  let batch = 0;
  return {
    runs,
    handler: (messages, context) => {
      batch += 1;
      const failed = new Set<string>();
      for (const message of messages as Batch) {
        const { key, seq, sentinel } = message.payload;
        if (key === null || sentinel === true) continue;
        const attempt = context.attemptOf(message);
        const fails = !failed.has(key) && seq === 2 && failing.has(key) && fail(attempt);
        const outcome = failed.has(key) ? 'postponed' : fails ? 'failed' : 'acked';
        if (fails) {
          failed.add(key);
          context.fail(message, new Error('not this one'));
        }
        runs.set(key, [...(runs.get(key) ?? []), { batch, seq, attempt, outcome }]);
      }
      t.note(`batch ${batch}: ${messages.length} messages`);
    },
  };
}

/** In its order, each message once acked, and none begun in a later batch before the one ahead of it was done. */
function judgeKey(t: CaseContext, key: string, runs: readonly Run[], given: ReadonlySet<number>): void {
  const acked = runs.filter(({ outcome }) => outcome === 'acked').map(({ seq }) => seq);
  const wanted = Array.from({ length: each }, (_, index) => index + 1).filter((seq) => !given.has(seq));
  t.equal(acked, wanted, `what was acked of key ${key}, in order`);
  for (const run of runs) {
    if (run.outcome === 'failed') continue;
    if (run.seq !== 2) t.equal(run.attempt, 1, `the attempt of message ${run.seq} of key ${key}, which never failed`);
  }
}

export const partialFailures: readonly ConformanceCase[] = [
  {
    id: 'F7.key-mates-wait-uncharged',
    guarantees: ['F7', 'O2', 'R1'],
    title: 'Later messages of a failed key in a batch are neither acked nor charged: they come again behind it.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { keys, each });
      const { runs, handler } = watch(t, (attempt) => attempt <= 2);
      const retry = { attempts: 4, backoff: fixed(50) };
      const consumer = await t.consumeBatches(bus, orders, { group, batch: { size: 24, linger: 300 }, retry }, handler);
      const done = (): boolean =>
        [...runs.values()].flat().filter(({ outcome }) => outcome === 'acked').length >= keys * each;
      await t.until(done, 'all are acked');
      await t.sentinel(bus, orders, [consumer]);
      let postponed = 0;
      for (const [key, of] of runs) {
        judgeKey(t, key, of, new Set());
        const second = of.filter(({ seq }) => seq === 2).map(({ attempt }) => attempt);
        t.equal(second, failing.has(key) ? [1, 2, 3] : [1], `attempts of message 2 of key ${key}`);
        postponed += of.filter(({ outcome }) => outcome === 'postponed').length;
      }
      t.equal(runs.size, keys, 'keys seen');
      t.ok(postponed > 0, 'key-mates shared a batch with one that failed');
      t.equal(deadLettered(t, group), [], 'dead letters');
      return t.judge(lost(), attempts(), guard({ confirmed: keys * each, threw: 2 * failing.size }));
    },
  },
  {
    id: 'F7.key-mates-are-not-settled-early',
    guarantees: ['F7', 'O2', 'D5'],
    title: 'What waits behind a failed message of a batch is unsettled: another consumer gets it, in order.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { keys, each });
      const first = watch(t, () => true);
      // Far longer than the case: what failed is still waiting when its consumer goes.
      const retry = { attempts: 4, backoff: fixed('10m') };
      const consumer = await t.consumeBatches(
        bus,
        orders,
        { group, batch: { size: 100, linger: 300 }, retry },
        first.handler,
      );
      const acked = (runs: ReadonlyMap<string, readonly Run[]>): number =>
        [...runs.values()].flat().filter(({ outcome }) => outcome === 'acked').length;
      const others = (keys - failing.size) * each + failing.size;
      await t.until(() => acked(first.runs) === others, 'all is acked but what failed and what is behind it');
      await consumer.close();
      const second = watch(t, () => false);
      const next = await t.consumeBatches(
        bus,
        orders,
        { group, batch: { size: 100, linger: 300 }, retry },
        second.handler,
      );
      const again = (key: string): Run[] => second.runs.get(key) ?? [];
      const last = ({ seq }: Run): boolean => seq === each;
      await t.until(() => [...failing].every((key) => again(key).some(last)), 'the next consumer gets the rest');
      await t.sentinel(bus, orders, [next]);
      const behind = Array.from({ length: each - 1 }, (_, index) => index + 2);
      // A watermark stands at the first unsettled message of a partition: what was settled above it comes again.
      const cumulative = t.supports.settle.mode === 'cumulative';
      if (!cumulative) t.equal([...second.runs.keys()].toSorted(), [...failing].toSorted(), 'keys that came again');
      for (const key of failing) {
        const came = again(key).map(({ seq }) => seq);
        t.equal(cumulative ? came.filter((seq) => seq > 1) : came, behind, `what came again of key ${key}`);
        for (const { seq, attempt } of again(key))
          if (seq > 2) t.equal(attempt, 1, `the attempt of message ${seq} of key ${key}`);
      }
      return t.judge(lost(), guard({ confirmed: keys * each, threw: failing.size }));
    },
  },
  {
    id: 'F7.dead-letter-releases-key-mates',
    guarantees: ['F7', 'O2', 'R1'],
    title: 'When a failed message of a batch is dead-lettered, its key-mates go on in order.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { keys, each });
      const { runs, handler } = watch(t, () => true);
      const retry = { attempts: 2, backoff: fixed(30) };
      const consumer = await t.consumeBatches(bus, orders, { group, batch: { size: 24, linger: 300 }, retry }, handler);
      const wanted = keys * each - failing.size;
      const acked = (): number => [...runs.values()].flat().filter(({ outcome }) => outcome === 'acked').length;
      await t.until(() => acked() >= wanted && deadLettered(t, group).length >= failing.size, 'all are done');
      await t.sentinel(bus, orders, [consumer]);
      for (const [key, of] of runs) judgeKey(t, key, of, new Set(failing.has(key) ? [2] : []));
      t.equal(deadLettered(t, group).length, failing.size, 'dead letters');
      return t.judge(lost(), attempts({ expected: 2 }), guard({ confirmed: keys * each, threw: 2 * failing.size }));
    },
  },
];
