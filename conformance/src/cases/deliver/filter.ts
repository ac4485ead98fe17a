import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, duplicated, guard, lost, reordered, unexpected } from '../../checkers/index.ts';
import { once } from '../repeats.ts';

const needs = { 'deliver.filter': true } as const;

export const filters: readonly ConformanceCase[] = [
  {
    id: 'D11.by-type-and-header',
    guarantees: ['D11', 'F5'],
    title: 'A filter on type and header: what matches is handled, the rest is settled without the handler and counted.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', {
        type: ({ seq }) => ['order.paid', 'order.paid.late', 'order.made'][seq % 3] ?? '',
      });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const wanted = { type: ['order.paid', 'order.made'], headers: { region: ['eu.*', 'us.#'] } };
      const consumer = await t.consume(bus, orders, { group, filter: wanted });
      const all = await t.consume(bus, orders, { group: t.group('all') });
      const regions = ['eu.west', 'eu', 'us', 'us.east.1', 'ap.south', null];
      const match = (seq: number): boolean =>
        seq % 3 !== 1 && ['eu.west', 'us', 'us.east.1'].includes(regions[seq % 6] ?? '');
      await Promise.all(
        Array.from({ length: 120 }, (_, index) => {
          const region = regions[(index + 1) % 6] ?? null;
          return t.publish(bus, orders, null, region === null ? {} : { headers: { region } });
        }),
      );
      const due = Array.from({ length: 120 }, (_, index) => index + 1).filter(match);
      await t.until(() => consumer.distinct >= due.length && all.distinct >= 120, 'what matches is delivered');
      await t.until(() => consumer.subscription.counts.filtered >= 120 - due.length, 'the rest is counted');
      const seqs = consumer.deliveries.map(({ seq }) => seq ?? 0).toSorted((a, b) => a - b);
      t.equal(seqs, due, 'numbers that were handled');
      t.equal(consumer.subscription.counts.filtered, 120 - due.length, 'filtered messages counted');
      if (t.supports.lag.by !== 'refused' && t.supports.lag.exact)
        await t.until(async () => (await bus.lag(orders, group)).count === 0, 'nothing is left unsettled');
      // Settled: the next consumer without a filter gets none of them.
      await consumer.close();
      const after = await t.consume(bus, orders, { group });
      await t.sentinel(bus, orders, [after, all]);
      t.equal(after.count, 0, 'messages that were filtered out and came again');
      const expected = (one: { seq: number | null }, to: string): boolean => to !== group || match(one.seq ?? 0);
      return t.judge(
        unexpected({ expected }),
        attempts(),
        duplicated({ forbidden: once(t) }),
        guard({ confirmed: 120 }),
      );
    },
  },
  {
    id: 'D11.the-key-is-released-in-order',
    guarantees: ['D11', 'O1', 'R1'],
    title: 'A message that does not match releases its key in order, and costs no attempt.',
    needs: { 'deliver.filter': true, 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key', type: ({ seq }) => (seq % 2 === 0 ? 'even' : 'odd') });
      const bus = await t.connect({ topics: [orders] });
      const options = { group: t.group('inventory'), filter: { type: 'even' } };
      const consumer = await t.consume(bus, orders, options, () => t.pass(1));
      await t.load(bus, orders, { keys: 20, each: 30 });
      await t.until(() => consumer.distinct >= 300, 'what matches is delivered');
      await t.until(() => consumer.subscription.counts.filtered >= 300, 'the rest is counted');
      t.equal([consumer.count, consumer.subscription.counts.filtered], [300, 300], 'handled and filtered');
      const except = { except: ({ seq }: { seq: number | null }) => (seq ?? 0) % 2 === 1 };
      return t.judge(reordered(except), attempts(), lost(except), guard({ confirmed: 300, ...except }));
    },
  },
  {
    id: 'D11.another-filter-in-one-group',
    guarantees: ['D11'],
    title: 'A second subscription of a group with another filter is refused; the same filter, said otherwise, is not.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { type: ({ seq }) => (seq % 2 === 0 ? 'even' : 'odd') });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const first = await t.consume(bus, orders, { group, filter: { type: ['even', 'other'] } });
      await t.expectError(t.consume(bus, orders, { group, filter: { type: 'odd' } }), 'invalid');
      await t.expectError(t.consume(bus, orders, { group }), 'invalid');
      const second = await t.consume(bus, orders, { group, filter: { type: ['other', 'even'] } });
      await t.load(bus, orders, { each: 100 });
      await t.until(() => first.count + second.count >= 50, 'what matches is delivered');
      await t.straggle();
      t.equal(first.count + second.count, 50, 'handler runs of both');
      await first.close();
      await second.close();
      // Nobody stands in its way any more.
      const third = await t.consume(bus, orders, { group, filter: { type: 'odd' } });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => third.distinct >= 10, 'the other filter works now');
      return t.judge(duplicated({ forbidden: once(t) }), guard({ confirmed: 120, returned: 60 }));
    },
  },
  {
    id: 'D11.bad-filters',
    guarantees: ['D11', 'L5'],
    title: 'A filter that means nothing is a typed error that names it, before anything is made.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect();
      const bad = [
        { kind: 'x' },
        { type: [] },
        { type: 'a*' },
        { type: '#.a' },
        { headers: { region: 7 } },
        { type: /x/ },
      ];
      for (const filter of bad) {
        const error = await t.expectError(
          t.consume(bus, orders, { group: t.group('inventory'), filter: filter as never }),
          'invalid',
        );
        t.equal(error.message.includes('filter'), true, `the error names the filter: ${error.message}`);
      }
      t.equal(t.history.of('group.ready').length, 0, 'groups made');
    },
  },
];
