import { fixed, memoryStore } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost } from '../../checkers/index.ts';
import { deadLettered } from '../flow/batches.ts';
import { tamperedSubscriptions } from '../flow/tampered.ts';
import { shortest } from '../pace.ts';
import { allSettled, watched, withoutBrokerDedup } from './copies.ts';

const storeErrors = /idempotency store/;

export const storeFailures: readonly ConformanceCase[] = [
  {
    id: 'E1.store-down-waits',
    guarantees: ['E1'],
    title:
      'While the store is down deliveries wait: none passes unchecked, none is given up, none is charged an attempt.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      t.allowLog(storeErrors);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      let down = true;
      let asked = 0;
      const store = watched(memoryStore(), (call) => {
        if (call === 'claim') asked += 1;
        if (down) throw new Error('the store is down');
      });
      const bus = await t.connect({ topics: [orders] });
      const options = { group, retry: { attempts: 2, backoff: fixed(10) }, idempotent: { store } };
      const consumer = await t.consume(bus, orders, options);
      await t.load(bus, orders, { each: 8 });
      await t.until(() => asked >= 24, 'the store was asked for each, three times', { total: 20_000 });
      t.equal(
        [consumer.count, deadLettered(t, group).length],
        [0, 0],
        'handler runs and dead letters while it is down',
      );
      down = false;
      await t.until(() => consumer.returned === 8, 'all are handled when it is back');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(duplicated({ forbidden: true }), attempts(), lost(), guard({ confirmed: 8, returned: 8 }));
    },
  },
  {
    id: 'E1.store-down-fails',
    guarantees: ['E1', 'R1'],
    title: "With onStoreError 'fail' a store that is down fails the attempt, and the handler never runs unchecked.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      t.allowLog(storeErrors);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const down = new Set<string>();
      const store = watched(memoryStore(), (_call, id) => {
        if (down.has(id)) throw new Error('the store is down');
      });
      const bus = await t.connect({ topics: [orders] });
      const codes: [string, number, string][] = [];
      bus.on('dead-lettered', ({ id, attempts: count, error }) => codes.push([id, count, error.code]));
      const retry = { attempts: 2, backoff: fixed(20) };
      const consumer = await t.consume(bus, orders, { group, retry, idempotent: { store, onStoreError: 'fail' } });
      for (let seq = 1; seq <= 6; seq++) {
        if (seq % 2 === 0) down.add(`${t.run}-${seq}`);
        await t.publish(bus, orders, null, { id: `${t.run}-${seq}`, seq });
      }
      await t.until(() => codes.length === 3 && consumer.returned === 3, 'each ends in its way');
      const wanted = [2, 4, 6].map((seq) => [`${t.run}-${seq}`, 2, 'unavailable']);
      t.equal(
        codes.toSorted(([a], [b]) => (a < b ? -1 : 1)),
        wanted,
        'dead letters',
      );
      t.equal(
        consumer.deliveries.map(({ id }) => id).toSorted(),
        [1, 3, 5].map((seq) => `${t.run}-${seq}`),
        'what the handler saw',
      );
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(duplicated({ forbidden: true }), attempts(), guard({ confirmed: 6, returned: 3 }));
    },
  },
  {
    id: 'E1.mark-failing-after-the-effect',
    guarantees: ['E1'],
    title: 'A store that fails after the handler does not keep the message from being settled.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      t.allowLog(storeErrors);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const said: string[] = [];
      const store = watched(memoryStore(), (call) => {
        if (call === 'done') throw new Error('the store is down');
      });
      const bus = await t.connect({ topics: [orders] });
      bus.on('error', ({ error }) => said.push(error.code));
      const consumer = await t.consume(bus, orders, { group, idempotent: { store } });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => consumer.returned === 5, 'all are handled');
      await t.until(() => said.length >= 5, 'each failure of the store is said');
      t.equal([...new Set(said)], ['unavailable'], 'codes of what was said');
      await t.sentinel(bus, orders, [consumer]);
      await allSettled(t, group);
      return t.judge(duplicated({ forbidden: true }), attempts(), lost(), guard({ confirmed: 5, returned: 5 }));
    },
  },
  {
    id: 'E1.lost-ack-does-not-repeat-the-effect',
    guarantees: ['E1', 'R9'],
    title: 'When an ack is lost after the handler and the message comes again, its effect is not repeated.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      t.allowLog(/./); // an ack that fails is an `error` event
      const orders = t.topic('orders');
      const group = t.group('inventory');
      let lose = 0;
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          tamperedSubscriptions(adapter, (inner) => ({
            ack: async (receipts) => {
              if (lose === 0) return inner.ack(receipts);
              lose -= 1;
              throw new Error('the connection broke before the ack was sent (the case says so)');
            },
          })),
      });
      const consumer = await t.consume(bus, orders, { group, idempotent: { store: memoryStore() } });
      await t.load(bus, orders, { each: 5 });
      await t.until(() => consumer.returned === 5, 'it works');
      for (let round = 1; round <= 3; round++) {
        lose = 1;
        await t.load(bus, orders, { each: 5 });
        await t.until(() => lose === 0 && consumer.distinct === 5 + 5 * round, 'an ack is lost');
        await t.until(() => consumer.subscription.status === 'subscribed', 'it receives again');
      }
      await t.sentinel(bus, orders, [consumer]);
      await allSettled(t, group);
      const again = t.history.arrivals.length - new Set(t.history.arrivals.map(({ id }) => id)).size;
      t.ok(again > 0, `${again} messages came a second time`);
      return t.judge(duplicated({ forbidden: true }), attempts(), lost(), guard({ confirmed: 20, returned: 20 }));
    },
  },
  {
    id: 'E1.long-handler-keeps-its-claim',
    guarantees: ['E1', 'D6'],
    title: 'A handler longer than the lease keeps its claim: a copy that arrives meanwhile does not run.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const lease = shortest(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      let extended = 0;
      const store = watched(memoryStore(), (call) => {
        if (call === 'extend') extended += 1;
      });
      const bus = await t.connect({ topics: [orders], wrap: withoutBrokerDedup });
      const consumer = await t.consume(bus, orders, { group, lease, idempotent: { store } }, () => t.pass(3 * lease));
      const copy = (): Promise<unknown> => t.publish(bus, orders, null, { id: `${t.run}-1`, seq: 1 });
      await copy();
      await t.until(() => consumer.running === 1, 'it runs');
      await copy();
      await t.until(() => consumer.returned === 1, 'it ends', { total: 30_000 + 3 * lease });
      await t.sentinel(bus, orders, [consumer]);
      await allSettled(t, group);
      t.ok(extended >= 2, `the claim was prolonged ${extended} times`);
      return t.judge(duplicated({ forbidden: true }), lost(), guard({ confirmed: 2, returned: 1 }));
    },
  },
];
