import { DeadLetter, fixed } from '@waybill/core';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost } from '../../checkers/index.ts';
import { heard } from './letters.ts';

export const failureEvents: readonly ConformanceCase[] = [
  {
    id: 'R1.each-failure-reported-once',
    guarantees: ['R1', 'R5'],
    title: 'Each failed attempt is reported by one event, with the error that the handler threw.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const [retries, dead] = [heard(bus, 'retry'), heard(bus, 'dead-lettered')];
      const thrown = new Map<string, Error>();
      const retry = { attempts: 3, backoff: fixed(10) };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ id, payload }, { attempt }) => {
        if (payload.seq % 2 === 1) return;
        const error =
          payload.seq % 4 === 0 ? new RangeError(`seq ${payload.seq}`) : new DeadLetter(`no ${payload.seq}`);
        thrown.set(`${id} ${attempt}`, error);
        throw error;
      });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => dead.length >= 10, 'ten are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal([retries.length, dead.length], [5 * 2, 10], 'reported retries and dead letters');
      t.equal(new Set(retries.map((one) => `${one.id} ${one.attempt}`)).size, 10, 'different retries');
      for (const one of retries) {
        const error = thrown.get(`${one.id} ${one.attempt}`);
        t.ok(error !== undefined && one.error.raw === error, 'the event has the very error that was thrown');
        t.equal([one.topic, one.group, one.delay], [orders.name, group, 10], 'where, and how long until the next run');
      }
      for (const one of dead)
        t.ok(one.error.raw === thrown.get(`${one.id} ${one.attempts}`), 'the last error is there');
      return t.judge(attempts(), lost(), guard({ threw: 20 }));
    },
  },
  {
    id: 'R1.listener-that-throws',
    guarantees: ['R1', 'R6'],
    title: 'An event listener that throws loses no message and no attempt, and is itself reported.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      t.allowLog(/listener/);
      const errors = heard(bus, 'error');
      bus.on('retry', () => {
        throw new Error('a listener of retries');
      });
      bus.on('dead-lettered', () => {
        throw new Error('a listener of dead letters');
      });
      const retry = { attempts: 3, backoff: fixed(10) };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }, { attempt }) => {
        if (payload.seq % 2 === 0 && (payload.seq % 4 === 0 || attempt < 3)) throw new Error('refused');
      });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.returned >= 15, 'all that can be handled are');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.threw, 5 * 3 + 5 * 2, 'failed runs');
      t.equal(
        t.history
          .of('send')
          .filter((one) => one.kind === 'dead-letter')
          .flatMap((one) => one.ids).length,
        5,
        'dead letters',
      );
      const said = errors.map((one) => one.where);
      t.equal(said.filter((where) => where.includes('retry')).length, 20, 'reports of the listener of retries');
      t.equal(
        said.filter((where) => where.includes('dead-lettered')).length,
        5,
        'reports of the listener of dead letters',
      );
      return t.judge(attempts(), lost(), guard({ threw: 25 }));
    },
  },
  {
    id: 'R1.publish-in-failing-handler',
    guarantees: ['R1'],
    title:
      'What a handler publishes before it fails is published, once per run, unless the subscription is transactional.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const results = t.topic('results');
      const bus = await t.connect({ topics: [orders, results] });
      const reader = await t.consume(bus, results, { group: t.group('reader') });
      const retry = { attempts: 3, backoff: fixed(10) };
      const options = { group: t.group('inventory'), retry };
      const consumer = await t.consume(bus, orders, options, async ({ payload }, context) => {
        await context.publish(results, { run: t.run, case: t.id, key: null, seq: 100 * payload.seq + context.attempt });
        if (payload.seq % 2 === 0) throw new Error('after the publish');
      });
      await t.load(bus, orders, { each: 6 });
      await t.until(() => consumer.threw >= 9 && consumer.returned >= 3, 'all runs are over');
      await t.until(() => reader.count >= 12, 'what they published arrives');
      await t.sentinel(bus, results, [reader]);
      const found = reader.deliveries.map((one) => one.seq ?? 0).toSorted((a, b) => a - b);
      t.equal(
        found,
        [101, 201, 202, 203, 301, 401, 402, 403, 501, 601, 602, 603],
        'messages published by handler runs',
      );
      return t.judge(
        attempts({ topic: orders, expected: 3 }),
        lost({ topic: orders }),
        guard({ topic: orders, threw: 9 }),
      );
    },
  },
];
