import { DeadLetter, fixed } from '@waybill/core';
import type { CaseHandler, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';
import { deadLetters } from '../retry/letters.ts';
import { flowOf } from './results.ts';

const needs = { transactions: true } as const;

export const transactRuns: readonly ConformanceCase[] = [
  {
    id: 'T1.each-message-has-its-results',
    guarantees: ['T1'],
    title: 'In a transactional subscription each message has the results that its handler published, once.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const { orders, results, bus, reader } = await flowOf(t);
      const group = t.group('inventory');
      const wanted = (seq: number): number => seq % 3;
      const consumer = await t.consume(bus, orders, { group, transactional: true }, async ({ payload }, context) => {
        await t.pass(payload.seq % 4); // so that they don't end in the order in which they began
        for (let result = 0; result < wanted(payload.seq); result++) await context.publish(results, payload);
      });
      await t.load(bus, orders, { each: 120 });
      await t.until(() => reader.count >= 80, 'all results are there');
      await reader.exactly(bus, wanted, 120);
      await consumer.close();
      if (t.supports.lag.by !== 'refused') {
        const settled = async (): Promise<void> => {
          while ((await bus.lag(orders, group)).count > 0) await t.pass(20);
        };
        await t.within(settled(), 'everything is settled');
      }
      t.equal(consumer.count, 120, 'handler runs');
      return t.judge(lost({ topic: orders }), guard({ topic: orders, confirmed: 120 }));
    },
  },
  {
    id: 'T1.results-keep-their-order',
    guarantees: ['T1', 'O1'],
    title: 'Results of one key are stored in the order in which they were published, message after message.',
    needs: { transactions: true, 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const results = t.topic('results', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders, results] });
      const stored = new Map<string, number[]>();
      const reader = await t.consume(bus, results, { group: t.group('reader') }, ({ key, payload }) => {
        stored.set(key ?? '', [...(stored.get(key ?? '') ?? []), payload.seq]);
      });
      const options = { group: t.group('inventory'), transactional: true, concurrency: 20 };
      await t.consume(bus, orders, options, async ({ payload }, context) => {
        await t.pass(payload.seq % 3);
        // Not awaited one by one: the order is that of the calls.
        const { seq } = payload;
        await Promise.all(
          [2 * seq - 1, 2 * seq].map((result) => context.publish(results, { ...payload, seq: result })),
        );
      });
      await t.load(bus, orders, { keys: 12, each: 10 });
      await t.until(() => reader.distinct >= 240, 'all results are there');
      const order = Array.from({ length: 20 }, (_, index) => index + 1);
      t.equal(stored.size, 12, 'keys that have results');
      for (const [key, seqs] of stored) t.equal(seqs, order, `results of ${key}, in their order`);
      return t.judge(guard({ topic: orders, confirmed: 120 }));
    },
  },
  {
    id: 'T2.failed-runs-have-no-results',
    guarantees: ['T2', 'T1', 'R1'],
    title: 'A handler that throws has published nothing; a message that is given up has a dead letter and no result.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const { orders, results, bus, reader } = await flowOf(t);
      const group = t.group('inventory');
      const retry = { attempts: 3, backoff: fixed(10) };
      const options = { group, retry, transactional: true };
      const consumer = await t.consume(bus, orders, options, async ({ payload }, context) => {
        await context.publish(results, payload);
        if (payload.seq % 4 === 0) throw new Error('always');
        if (payload.seq % 4 === 1) throw new DeadLetter('at once');
        if (payload.seq % 4 === 2 && context.attempt < 3) throw new Error('at first');
      });
      await t.load(bus, orders, { each: 40 });
      const wanted = (seq: number): number => (seq % 4 < 2 ? 0 : 1);
      await t.until(() => reader.count >= 20, 'what can be handled has results');
      await t.until(() => t.deadLettered(orders, group).length >= 20, 'the others are given up');
      await reader.exactly(bus, wanted, 40);
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(letters.length, 20, 'dead letters');
      t.equal(consumer.count, 10 * 3 + 10 + 10 * 3 + 10, 'handler runs');
      return t.judge(lost({ topic: orders }), guard({ topic: orders, threw: 60 }));
    },
  },
  {
    id: 'T1.closed-mid-flow',
    guarantees: ['T1', 'L2'],
    title:
      'A transactional consumer that is closed while messages wait leaves each with its results, by it or the next.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: t.supports.order.key.by === 'refused' ? 'spread' : 'key' });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const { results, bus, reader } = await flowOf(t, orders);
      const all = await t.load(bus, orders, { keys: 6, each: 20 });
      let began = 0;
      const numbered = (key: string | null, seq: number): number => (Number(key?.slice(1)) - 1) * 20 + seq;
      // Some keys are slow, so that their messages wait unstarted while those behind them, of other keys, have ended.
      const handle = (slow: number): CaseHandler<Stamped> => {
        return async ({ payload }, context) => {
          began += 1;
          await context.publish(results, { ...payload, seq: numbered(payload.key, payload.seq) });
          await t.pass(Number(payload.key?.slice(1)) % 2 === 0 ? slow : 1);
        };
      };
      const first = await t.consume(await t.connect(), orders, { group, transactional: true }, handle(60));
      await t.until(() => began >= 30, 'messages are being handled');
      const closing = t.now();
      await first.close();
      t.measure('closeMs', Math.round(t.now() - closing));
      await t.consume(bus, orders, { group, transactional: true }, handle(1));
      await t.until(() => reader.count >= all.length, 'all results are there', {
        total: 15_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      await reader.exactly(bus, () => 1, all.length);
      return t.judge(lost({ topic: orders, since: 'all' }), guard({ topic: orders, confirmed: 120 }));
    },
  },
];
