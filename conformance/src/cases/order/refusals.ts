import { partitionOf, type Adapter, type Supports } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';
import { withSupports } from '../wrapped.ts';

/** The same adapter, saying that it keeps no order. */
function withoutOrder(adapter: Adapter): Adapter {
  const { supports } = adapter;
  const refused = { by: 'refused' } as const;
  const order: Supports['order'] = {
    key: { by: 'refused', partitions: 'none' },
    spread: refused,
    guard: refused,
    fence: refused,
    handover: { forced: null },
    parkedKeys: refused,
  };
  return withSupports(adapter, { ...supports, order });
}

/** Kafka's own test vectors of murmur2, so that our function is not judged by itself. */
const hashes: Readonly<Record<string, number>> = {
  '21': -973_932_308,
  foobar: -790_332_482,
  'a-little-bit-long-string': -985_981_536,
  'a-little-bit-longer-string': -1_486_304_829,
  lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58_897_971,
  abc: 479_470_107,
};

/** Everything that asks for order where there is none is refused; a key without order is welcome. */
async function refusesOrder(t: CaseContext, wrap: ((adapter: Adapter) => Adapter) | null): Promise<void> {
  const orders = t.topic('orders', { ordering: 'key' });
  const connect = (options = {}): Promise<CaseBus> => t.connect(wrap === null ? options : { ...options, wrap });
  const asks: [string, () => Promise<unknown>][] = [['connect', () => connect({ topics: [orders] })]];
  const bus = await connect();
  const stamp = { run: t.run, case: t.id, key: 'k', seq: 1 };
  asks.push(
    ['publish', () => bus.publish(orders, stamp)],
    ['publishMany', () => bus.publishMany(orders, [stamp, stamp])],
    ['subscribe', () => t.consume(bus, orders, { group: t.group('inventory') })],
  );
  for (const [what, ask] of asks) {
    const error = await t.expectError(ask, 'unsupported');
    for (const word of ['order.key', orders.name, "ordering: 'none'"])
      t.ok(error.message.includes(word), `the refusal by ${what} names ${word}: '${error.message}'`);
  }
  t.equal(t.history.of('send').length, 0, 'sends to the broker after a refusal');

  const spread = t.topic('spread', { ordering: 'spread' });
  const consumer = await t.consume(bus, spread, { group: t.group('inventory') });
  await t.load(bus, spread, { keys: 5, each: 4 });
  await t.until(() => consumer.distinct === 20, 'messages with a key but without order arrive');
  t.equal(new Set(consumer.deliveries.map((one) => one.key)).size, 5, 'keys that arrived');
}

export const orderRefusals: readonly ConformanceCase[] = [
  {
    id: 'O6.refused-when-asked-for',
    guarantees: ['O6'],
    title:
      'Where order per key is refused, asking for it is an error that says so, at every door, and nothing is sent.',
    needs: { 'order.key': true },
    cost: 'quick',
    // Where the broker keeps order, the same broker behind a manifest that refuses it.
    run: (t) => refusesOrder(t, withoutOrder),
    refused: (t) => refusesOrder(t, null),
  },
  {
    id: 'O6.ordered-and-requeue',
    guarantees: ['O6', 'O2'],
    title: 'Retrying an ordered message by a later copy would break its order, so it is refused.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders] });
      const options = { group: t.group('inventory'), retry: { mode: 'requeue' } } as const;
      const error = await t.expectError(() => t.consume(bus, orders, options), ['invalid', 'unsupported']);
      for (const word of ['requeue', 'in-place', orders.name])
        t.ok(error.message.includes(word), `the refusal names ${word}: '${error.message}'`);
      t.equal(t.history.of('group.ready').filter((one) => one.group === options.group).length, 0, 'groups made');
    },
  },
  {
    id: 'O7.other-count-is-refused',
    guarantees: ['O7'],
    title: 'A publisher or consumer with another partition count is refused, with both counts, and nothing is sent.',
    needs: { 'order.key': true, 'order.guard': true },
    by: 'order.guard',
    cost: 'quick',
    declinedBy: ({ order }) => (order.key.partitions === 'counted' ? null : 'there is no partition count to differ in'),
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const counted = (partitions: number): { topics: Record<string, { partitions: number }> } => ({
        topics: { [orders.name]: { partitions } },
      });
      const bus = await t.connect({ topics: [orders], config: counted(4) });
      const consumer = await t.consume(bus, orders, { group });
      const named = (message: string): void =>
        t.ok(/\b4\b/.test(message) && /\b6\b/.test(message), `the refusal names both counts, 4 and 6: '${message}'`);
      for (const topology of ['create', 'verify', 'none'] as const) {
        const config = { ...counted(6), topology };
        named((await t.expectError(() => t.connect({ topics: [orders], config }), 'invalid')).message);
      }
      const other = await t.connect({ config: counted(6) });
      const stamp = { run: t.run, case: t.id, key: 'k1', seq: 1_000 };
      named((await t.expectError(() => other.publish(orders, stamp), 'invalid')).message);
      const late = await t.connect({ config: counted(6) });
      named((await t.expectError(() => t.consume(late, orders, { group }), 'invalid')).message);
      const strangers = t.history.of('send').filter((one) => one.outcomes.includes('confirmed'));
      t.equal(strangers.length, 0, 'confirmed sends by those who were refused');
      await t.load(bus, orders, { keys: 12, each: 5 });
      await t.until(() => consumer.distinct >= 60, 'the rightful ones go on');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.count, 60, 'messages that the consumer got');
      return t.judge(lost(), guard({ confirmed: 60 }));
    },
  },
  {
    id: 'O7.one-home-per-key',
    guarantees: ['O7', 'O1'],
    title: 'Every publisher puts a key into the same partition, the one that the documented function gives.',
    needs: { 'order.key': true },
    cost: 'quick',
    declinedBy: ({ order }) =>
      order.key.partitions === 'counted' ? null : 'the broker has no partitions that are counted',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const partitions = 7;
      const config = { topics: { [orders.name]: { partitions } } };
      const buses = await Promise.all([1, 2, 3].map(() => t.connect({ topics: [orders], config })));
      const [bus = await t.connect({ config })] = buses;
      const consumer = await t.consume(bus, orders, { group });
      await Promise.all(buses.map((one) => t.load(one, orders, { keys: 50, each: 4 })));
      const odd = [' ', 'ключ', '🔑', 'a/b:c*', 'x'.repeat(100), ...Object.keys(hashes)];
      for (const key of odd) for (const one of buses) await t.publish(one, orders, key);
      const total = 3 * (50 * 4 + odd.length);
      await t.until(() => consumer.distinct >= total, 'everything is delivered');
      t.equal(new Set(t.history.arrivals.map((one) => one.partition)).size, partitions, 'partitions in use');
      for (const { key, partition } of t.history.arrivals) {
        const hash = hashes[key ?? ''];
        const home = hash === undefined ? partitionOf(key ?? '', partitions) : (hash & 0x7fff_ffff) % partitions;
        t.equal(partition, home, `the partition of key '${key ?? ''}'`);
      }
      return t.judge(lost());
    },
  },
];
