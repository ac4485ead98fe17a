import { connect } from '@waybill/core';
import { type Adapter, CAPABILITIES, capability, type CapabilityPath } from '@waybill/core/adapter';
import { expect, test } from 'vitest';
import {
  createAdapter,
  HIDEABLE,
  type Hideable,
  manifests,
  memory,
  MemoryBroker,
  type MemoryOptions,
} from '../src/index.ts';
import { at, Bench, inbox, message, signal, text, topic } from './support.ts';

const open = (url: string, options: MemoryOptions = {}): Adapter =>
  createAdapter({ url, options: { ...options }, client: 'test' });

async function exchange(one: Adapter, other: Adapter): Promise<boolean> {
  const orders = topic('orders');
  await Promise.all([one.connect(signal), other.connect(signal)]);
  await one.provision({ topology: 'create', destination: orders, retention: null, groups: [] }, signal);
  const seen = await other.publish(orders, [message('')], signal).then(
    () => true,
    () => false,
  );
  await Promise.all([one.close(), other.close()]);
  return seen;
}

test('memory: has a broker of its own, memory://name shares one, options included', async () => {
  expect(await exchange(open('memory:'), open('memory:'))).toBe(false);
  expect(await exchange(open('memory://shared'), open('memory://shared', { hide: ['lag'] }))).toBe(true);
  expect(await exchange(open('memory://one'), open('memory://two'))).toBe(false);
  expect(() => open('memory://shared', { maxBytes: 5_000 })).toThrow(
    /shared exists in this process with other options/,
  );
  const broker = new MemoryBroker();
  expect(await exchange(memory({ broker }), memory({ broker, settle: 'cumulative' }))).toBe(true);
});

test('a name is one that core takes in a URL, too', async () => {
  await using bus = await connect('memory://shop');
  expect(bus.health().status).toBe('ready');
});

test.each([
  ['memory:shop', {}, /'memory:' or 'memory:\/\/name'/],
  ['memory:a b', {}, /the URL of a memory broker/],
  ['memory:?x=1', {}, /the URL of a memory broker/],
  ['memory:', { maxByte: 1 }, /option maxByte is unknown; allowed: maxBytes, /],
  ['memory:', { maxBytes: 0 }, /maxBytes is 0; allowed: whole numbers from 1024/],
  ['memory:', { retain: { count: 1 } }, /retain.count is unknown; allowed: retain.messages, retain.bytes/],
  ['memory:', { session: '-1s' }, /memory: session is/],
  ['memory:', { hide: ['acks'] }, /hide is 'acks'; allowed: nack, /],
  ['memory:', { hide: 'nack,lag' }, /hide is 'nack,lag'; allowed/],
  ['memory:', { settle: 'both' }, /settle is 'both'; allowed: individual, cumulative/],
  ['memory:', { broker: new MemoryBroker(), maxBytes: 5_000 }, /maxBytes belong to the broker/],
])('%s with %o is refused', (url, options, problem) => {
  expect(() => open(url, options as MemoryOptions)).toThrow(problem);
});

test('the manifest is frozen, JSON-safe, and the same before connect and after close', async () => {
  const adapter = memory();
  const before = JSON.stringify(adapter.supports);
  expect(JSON.parse(before)).toEqual(adapter.supports);
  expect(Object.isFrozen(adapter.supports.publish.delay)).toBe(true);
  await adapter.connect(signal);
  await adapter.close();
  expect(JSON.stringify(adapter.supports)).toBe(before);
  expect(manifests['memory']).toEqual(adapter.supports);
  expect(adapter.name).toBe(adapter.supports.adapter);
});

/** Capabilities that a manifest declares as kept in this way. */
const kept = (by: string, options: MemoryOptions): CapabilityPath[] =>
  CAPABILITIES.filter((path) => capability(memory(options).supports, path).by === by);

test('everything is native but what core does, until it is hidden', () => {
  expect(kept('emulated', {})).toEqual(['deliver.filter', 'deliver.expiry']);
  expect(kept('refused', {})).toEqual(['order.parkedKeys']);
  const hidden = HIDEABLE.map((name): [Hideable, CapabilityPath[]] => [
    name,
    kept('refused', { hide: [name] }).filter((path) => path !== 'order.parkedKeys'),
  ]);
  expect(Object.fromEntries(hidden)).toEqual({
    nack: ['settle.nack'],
    attempts: [],
    lease: ['lease'],
    delay: ['publish.delay'],
    dedup: ['publish.dedup'],
    deliveryCount: ['settle.deliveryCount'],
    requeue: [],
    replay: ['deliver.replay'],
    retention: ['deliver.retention'],
    fence: ['order.fence'],
    skip: [],
    lag: ['lag'],
    browse: ['browse'],
    reset: ['reset'],
    seek: ['seek'],
    transactions: ['transactions'],
  });
  expect(kept('refused', { ordering: 'none' })).toEqual([
    'order.key',
    'order.spread',
    'order.guard',
    'order.fence',
    'order.parkedKeys',
  ]);
});

test('what is hidden is not there', async () => {
  const bench = new Bench();
  const { adapter: full, orders, g } = await bench.one(2);
  const bare = await bench.adapter({ hide: HIDEABLE });
  const h = await bench.subscribe(bare, orders, { group: 'h' });
  const optional = (adapter: Adapter, subscription: typeof g): string[] => [
    ...['lag', 'browse', 'reset', 'oldest'].filter((method) => method in adapter),
    ...['nack', 'extend', 'transact', 'seek'].filter((method) => method in subscription),
  ];
  expect(optional(full, g)).toEqual(['lag', 'browse', 'reset', 'oldest', 'nack', 'extend', 'transact', 'seek']);
  expect(optional(bare, h)).toEqual([]);
  const twice = message('', { key: 'k', partition: 1 });
  for (const _ of [1, 2]) await bare.publish(orders, [twice], signal);
  const got = await bench.take(h);
  expect(got).toHaveLength(2);
  expect(got[0]).toMatchObject({ deliveryCount: null, leaseUntil: null, fence: null });
  const replay = bench.subscribe(bare, orders, { group: 'r', start: 'earliest', bounded: true });
  await expect(replay).rejects.toSatisfy((error) => bare.classify(error) === 'unsupported');
  await bench.clock.pass(60_000);
  expect(await bench.take(h)).toEqual([]);
  await h.close();
  expect(await bench.take(await bench.subscribe(bare, orders, { group: 'h' }))).toHaveLength(2);
});

test('without ordering an ordered destination is refused', async () => {
  const bench = new Bench();
  const adapter = await bench.adapter({ ordering: 'none' });
  expect(adapter.supports.order.key).toEqual({ by: 'refused', partitions: 'none' });
  await expect(bench.provision(adapter, topic('orders', 3), 'g')).rejects.toSatisfy(
    (error) => adapter.classify(error) === 'unsupported',
  );
});

test('provision makes what is missing, verify lists it, none looks at the count only', async () => {
  const bench = new Bench();
  const adapter = await bench.adapter();
  const orders = topic('orders', 2);
  const groups = [{ group: 'g', address: null, start: 'held', inbox: inbox(orders, 'g') } as const];
  const provision = (topology: 'create' | 'verify' | 'none') =>
    adapter.provision({ topology, destination: orders, retention: null, groups }, signal);
  await provision('none');
  await expect(provision('verify')).rejects.toThrow('missing at the broker: orders, orders__g__retry, group g');
  await expect(bench.subscribe(adapter, orders)).rejects.toSatisfy((error) => adapter.classify(error) === 'not-found');
  await provision('create');
  await provision('create');
  await provision('verify');
  await adapter.publish(orders, [message('', { key: 'k', partition: 0 })], signal);
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 1 });
});

test('an address stands for the name, of topics and of groups', async () => {
  const bench = new Bench();
  const adapter = await bench.adapter();
  const named = { ...topic('orders'), address: 'legacy' };
  await bench.provision(adapter, named, 'theirs');
  const g = await bench.subscribe(adapter, named, { groupAddress: 'theirs' });
  await adapter.publish(topic('legacy'), [message('hello')], signal);
  expect((await bench.take(g)).map(text)).toEqual(['hello']);
  expect(await adapter.lag?.(named, 'g', 'theirs')).toMatchObject({ count: 1 });
});

test('unordered messages spread by key over the partitions of a cumulative adapter', async () => {
  const bench = new Bench();
  const adapter = await bench.adapter({ settle: 'cumulative' });
  const emails = topic('emails');
  await bench.provision(adapter, emails, 'g');
  const members = await Promise.all(['1', '2'].map((consumer) => bench.subscribe(adapter, emails, { consumer })));
  await adapter.publish(
    emails,
    Array.from({ length: 40 }, (_, n) => message('', { key: n < 20 ? null : `${n % 10}` })),
    signal,
  );
  const [first, second] = [await bench.take(at(members, 0)), await bench.take(at(members, 1))];
  expect(first.length + second.length).toBe(40);
  expect(Math.min(first.length, second.length)).toBeGreaterThanOrEqual(10);
});
