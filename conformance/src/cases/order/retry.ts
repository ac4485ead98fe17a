import { fixed } from '@waybill/core';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { heard } from '../retry/letters.ts';

const keys = 40;
const each = 5;
/** Every tenth key is one whose second message fails. */
const failing: ReadonlySet<string> = new Set(['k1', 'k11', 'k21', 'k31']);

export const orderAcrossRetry: readonly ConformanceCase[] = [
  {
    id: 'O2.hold-key-on-retry',
    guarantees: ['O2', 'O1', 'O4'],
    title: 'A message that fails holds back its own key, and only its own, until it is done.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      // They fail until every message of every other key is done: only then can they be said to hold back nobody else.
      let othersDone = 0;
      const allOthers = (keys - failing.size) * each;
      let doneAtOnce = 0;
      const options = { group, concurrency: 16, retry: { attempts: 400, backoff: fixed(20) } };
      const consumer = await t.consume(bus, orders, options, async ({ key, payload }, _context, { nth }) => {
        if (!failing.has(key ?? '')) othersDone += 1;
        else if (payload.seq === 2 && (othersDone < allOthers || nth <= 3)) throw new Error('not yet');
        else if (payload.seq === 2) doneAtOnce += 1;
      });
      await t.load(bus, orders, { keys, each });
      await t.until(() => consumer.distinct >= keys * each, 'everything is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(doneAtOnce, failing.size, 'failing messages that were done in the end');
      return t.judge(
        reordered(),
        overlapped(),
        attempts(),
        lost(),
        guard({ confirmed: keys * each, threw: 3 * failing.size }),
      );
    },
  },
  {
    id: 'O2.drain-in-backoff',
    guarantees: ['O2', 'O3', 'R3'],
    title: 'A key waits behind its failing message also when the consumer is stopped and another takes over meanwhile.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const options = { group, concurrency: 16, retry: { attempts: 5, backoff: fixed('2s') } };
      const first = await t.consume(await t.connect({ topics: [orders] }), orders, options, ({ key, payload }) => {
        if (failing.has(key ?? '') && payload.seq === 2) throw new Error('not on this consumer');
      });
      await t.load(bus, orders, { keys, each });
      await t.until(
        () => first.threw >= failing.size && first.returned >= keys * each - failing.size * 4,
        'all that can go on has ended',
      );
      await t.within(first.close(), 'the first consumer drains');
      const second = await t.consume(await t.connect({ topics: [orders] }), orders, options);
      await t.until(() => second.distinct >= failing.size * 4, 'the second consumer handles the rest');
      await t.sentinel(bus, orders, [second]);
      const durable = t.supports.settle.nack.attempts;
      return t.judge(reordered(), overlapped(), attempts({ durable }), lost(), guard({ threw: failing.size }));
    },
  },
  {
    id: 'O2.crash-in-backoff',
    guarantees: ['O2', 'O3', 'D5'],
    title: 'A key waits behind its failing message also when the consumer dies meanwhile.',
    needs: { 'order.key': true },
    cost: 'slow',
    faults: ['crash-connection'],
    timeout: ({ deliver }) => 30_000 + 2 * deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const options = { group, concurrency: 16, retry: { attempts: 5, backoff: fixed('3s') } };
      const first = await t.connect({ topics: [orders] });
      const doomed = await t.consume(first, orders, options, ({ key, payload }) => {
        if (failing.has(key ?? '') && payload.seq === 2) throw new Error('not on this consumer');
      });
      await t.load(bus, orders, { keys, each });
      await t.until(() => doomed.threw >= failing.size, 'the failing messages have failed');
      await t.fault.crash(first);
      const second = await t.consume(await t.connect({ topics: [orders] }), orders, options);
      const missing = (): number =>
        keys * each - new Set([...doomed.deliveries, ...second.deliveries].map((one) => one.id)).size;
      await t.until(() => missing() === 0, 'the second consumer handles the rest', {
        total: 30_000 + t.supports.deliver.redelivery.bound,
      });
      await t.sentinel(bus, orders, [second]);
      const { durable } = t.supports.settle.attempts;
      return t.judge(
        reordered(),
        overlapped({ forced: null }),
        attempts({ durable }),
        lost({ handled: true }),
        guard({ threw: failing.size }),
      );
    },
  },
  {
    id: 'O2.followers-after-dead-letter',
    guarantees: ['O2', 'R1'],
    title: 'When a message is dead-lettered, the rest of its key goes on, in order, and not before.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const options = { group, concurrency: 16, retry: { attempts: 3, backoff: fixed(60) } };
      const consumer = await t.consume(bus, orders, options, ({ key, payload }) => {
        if (failing.has(key ?? '') && payload.seq % 2 === 0) throw new Error('never');
      });
      await t.load(bus, orders, { keys, each });
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.distinct, keys * each, 'messages that reached the handler');
      t.equal(dead.length, 2 * failing.size, 'messages that were dead-lettered');
      return t.judge(reordered(), overlapped(), attempts({ expected: 3 }), lost(), guard({ threw: 6 * failing.size }));
    },
  },
];
