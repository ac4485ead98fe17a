import { AsyncLocalStorage } from 'node:async_hooks';
import { fixed } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost } from '../../checkers/index.ts';

/** What a handler is given beside its message. */
export const handed: readonly ConformanceCase[] = [
  {
    id: 'D1.what-the-context-says',
    guarantees: ['D1', 'R1'],
    title: 'The context names group, attempt, arrivals and position as they are, on the first delivery and on a retry.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const said: {
        group: string;
        replay: boolean;
        attempt: number;
        nth: number;
        count: number | null;
        position: unknown;
      }[] = [];
      const retry = { attempts: 4, backoff: fixed('20ms'), mode: 'in-place' as const };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }, context, { nth }) => {
        const { replay, attempt, deliveryCount: count, position } = context;
        said.push({ group: context.group, replay, attempt, nth, count, position });
        if (payload.seq % 4 === 0 && nth < 3) throw new Error('not yet');
      });
      await t.load(bus, orders, { each: 40 });
      await t.until(() => consumer.returned >= 40, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(said.length, 60, 'handler runs');
      t.equal([...new Set(said.map((one) => `${one.group} ${one.replay}`))], [`${group} false`], 'group and replay');
      t.equal(
        said.map(({ attempt }) => attempt),
        said.map(({ nth }) => nth),
        'attempts, against the runs counted here',
      );
      const counted = t.supports.settle.deliveryCount.by !== 'refused';
      t.equal(
        said.every(({ count }) => (counted ? count !== null && count >= 1 : count === null)),
        true,
        'arrivals as declared',
      );
      if (counted)
        t.equal(
          said.every(({ nth, count }) => nth > 1 || count === 1),
          true,
          'a first delivery is the first arrival',
        );
      t.equal(
        said.every(({ position }) => position === null || Object.keys(position as object).length === 1),
        true,
        'one place each',
      );
      return t.judge(attempts(), lost(), guard({ confirmed: 40, threw: 20 }));
    },
  },
  {
    id: 'D1.async-context-reaches-the-handler',
    guarantees: ['D1'],
    title:
      'What a middleware puts into the async context, a trace for instance, is there in the handler and behind its awaits.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const storage = new AsyncLocalStorage<string>();
      bus.use({
        handler: (message, _context, next) => storage.run(String(message.headers['traceparent']), next),
        publish: (_call, next) => next({ traceparent: storage.getStore() ?? 'none' }),
      });
      const copies = t.topic('copies');
      let wrong = 0;
      const consumer = await t.consume(
        bus,
        orders,
        { group: t.group('inventory') },
        async ({ headers, payload }, context) => {
          if (storage.getStore() !== headers['traceparent']) wrong += 1;
          await t.pass(payload.seq % 7);
          if (storage.getStore() !== headers['traceparent']) wrong += 1;
          await context.publish(copies, { ...payload, data: String(headers['traceparent']) });
        },
      );
      const traces: (string | undefined)[] = [];
      const copy = await t.consume(bus, copies, { group: t.group('copies') }, ({ headers, payload }) => {
        traces.push(
          headers['traceparent'] === payload.data
            ? undefined
            : `${String(headers['traceparent'])} for ${String(payload.data)}`,
        );
      });
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => storage.run(`trace-${index}`, () => t.publish(bus, orders))),
      );
      await t.until(() => consumer.returned >= 50 && copy.returned >= 50, 'all are handled');
      t.equal(wrong, 0, 'handlers that saw another trace');
      t.equal(
        traces.filter((one) => one !== undefined),
        [],
        'copies that carry another trace',
      );
      t.equal(traces.length, 50, 'copies');
    },
  },
];
