import { connect, WaybillError, type WaybillConfig } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { tampered } from '../flow/tampered.ts';

type Wrong = readonly (readonly [what: string, config: unknown, words: readonly string[]])[];

const main = 'memory:';

/** Each with the words that its error must have: the path, the bad value, what is allowed. */
const wrong: Wrong = [
  ['an empty URL', '', []],
  ['a URL without a scheme', 'just-a-host', ['scheme']],
  ['an unknown scheme', 'nope://host:1', ['nope', 'kafka', 'amqp', 'redis', 'sqs', 'memory']],
  ['no brokers', {}, ['brokers']],
  ['an empty list of brokers', { brokers: {} }, ['brokers']],
  ['a broker that is a number', { brokers: { main: 42 } }, ['brokers.main']],
  ['an unknown setting', { brokers: { main }, topologie: 'create' }, ['topologie']],
  ['an unknown topology', { brokers: { main }, topology: 'maybe' }, ['topology', 'maybe', 'create', 'verify', 'none']],
  ['a bad prefix', { brokers: { main }, prefix: 'Prod_1' }, ['prefix', 'Prod_1']],
  ['a bad topic name', { brokers: { main }, topics: { 'My Orders': {} } }, ['My Orders']],
  ['no partitions', { brokers: { main }, topics: { orders: { partitions: 0 } } }, ['topics.orders.partitions', '0']],
  [
    'too many partitions',
    { brokers: { main }, topics: { orders: { partitions: 5_000 } } },
    ['topics.orders.partitions', '5000', '1,024'],
  ],
  [
    'a broker nobody has',
    { brokers: { main }, topics: { orders: { broker: 'other' } } },
    ['topics.orders.broker', 'other', 'main'],
  ],
  ['a reserved group', { brokers: { main }, topics: { orders: { groups: ['dlq'] } } }, ['topics.orders.groups', 'dlq']],
  [
    'a bad retention',
    { brokers: { main }, topics: { orders: { retention: 'long' } } },
    ['topics.orders.retention', 'long'],
  ],
  ['a subscription without a group', { brokers: { main }, subscriptions: { orders: {} } }, ['subscriptions', 'orders']],
  ['no attempts', { brokers: { main }, subscriptions: { 'a/b': { retry: { attempts: 0 } } } }, ['a/b', 'attempts']],
  ['a bad timeout', { brokers: { main }, publish: { timeout: 'soon' } }, ['publish.timeout', 'soon']],
  ['a bad reconnect', { brokers: { main }, reconnect: { max: -1 } }, ['reconnect.max']],
];

export const configuration: readonly ConformanceCase[] = [
  {
    id: 'L5.bad-configuration-names-it',
    guarantees: ['L5'],
    title: 'Bad configuration is one typed error, at once, that names the path, the value and what is allowed.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      for (const [what, config, words] of wrong) {
        const began = t.now();
        const error = await t.expectError(connect(config as WaybillConfig), 'invalid');
        t.ok(t.now() - began < t.scaled(2_000), `${what}: the error comes at once`);
        for (const word of words)
          t.ok(error.message.includes(word), `${what}: the error names ${word}: '${error.message}'`);
      }
      const several = { brokers: { main }, topology: 'maybe', source: 7, topics: { orders: { partitions: -3 } } };
      const error = await t.expectError(connect(several as unknown as WaybillConfig), 'invalid');
      for (const word of ['topology', 'source', 'topics.orders.partitions'])
        t.ok(error.message.includes(word), `one error lists all problems, ${word} too: '${error.message}'`);
    },
  },
  {
    id: 'L5.missing-package-says-what-to-install',
    guarantees: ['L5'],
    title: 'An adapter that is not installed is a typed error that says what to install.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const name = '@waybill-conformance/not-there';
      const config = { brokers: { main: 'acme://host:1' }, adapters: { acme: name } };
      const error = await t.expectError(connect(config), 'not-found');
      t.ok(error.message.includes(`npm install ${name}`), `it says what to run: '${error.message}'`);
      t.ok(error.message.includes('main'), `it names the broker: '${error.message}'`);
      await t.expectError(connect({ ...config, adapters: { kafka: name } }), 'invalid');
    },
  },
  {
    id: 'L5.refusal-lists-every-need',
    guarantees: ['L5', 'O6'],
    title: 'A start-up refusal lists every unmet need and who meets it, before anything is made or sent.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const { supports } = t;
      const config = { topics: { [orders.name]: { partitions: 3 } } };
      const bus = await t.connect({ config });
      const wants = {
        deadLetter: 'key' as const,
        ...(supports.deliver.replay.by === 'refused' && { start: 'earliest' as const }),
        ...(supports.deliver.atMostOnce.by === 'refused' && { delivery: 'at-most-once' as const }),
        ...(supports.deliver.filter.by === 'refused' && { filter: { type: 'x' } }),
        ...(supports.settle.deliveryCount.by === 'refused' && { maxDeliveries: 77 }),
        ...(supports.requeue.by === 'refused' && { retry: { mode: 'requeue' as const } }),
      };
      const group = t.group('inventory');
      const error = await t.expectError(() => t.consume(bus, orders, { group, ...wants }), 'unsupported');
      const needs = ['order.key.partitions', 'order.parkedKeys'];
      if ('start' in wants) needs.push('deliver.replay');
      if ('delivery' in wants) needs.push('deliver.atMostOnce');
      if ('filter' in wants) needs.push('deliver.filter');
      if ('maxDeliveries' in wants) needs.push('settle.deliveryCount');
      if ('retry' in wants) needs.push('requeue');
      for (const need of needs) {
        const line = error.message.split('\n').find((one) => one.includes(`- ${need}:`));
        t.ok(line !== undefined, `it lists ${need}: '${error.message}'`);
        t.ok(/\((?:met by|no installed broker)/.test(line ?? ''), `it says who meets ${need}: '${line ?? ''}'`);
      }
      t.ok(error.message.includes(orders.name) && error.message.includes(group), 'it names the subscription');
      // The topic's own need refuses its publishers, and a connect that names it, just so.
      await t.expectError(bus.publish(orders, { run: t.run, case: t.id, key: null, seq: 1 }), 'unsupported');
      await t.expectError(t.connect({ config, topics: [orders] }), 'unsupported');
      t.equal(t.history.of('send', 'group.ready').length, 0, 'what was sent or made');
    },
  },
  {
    id: 'L5.weaker-fact-refuses',
    guarantees: ['L5'],
    title: 'A broker that is weaker than the manifest refuses to connect, and nothing stays open.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      let closed = 0;
      const why = 'the server keeps nothing on disk; at least the append-only file is needed';
      const error = await t.expectError(
        t.connect({
          topics: [t.topic('orders')],
          wrap: (adapter) =>
            tampered(adapter, {
              connect: async (signal) => {
                await adapter.connect(signal);
                throw new WaybillError('unsupported', why);
              },
              close: async () => {
                closed += 1;
                await adapter.close();
              },
            }),
        }),
        'unsupported',
      );
      t.ok(error.message.includes(why), `it says why: '${error.message}'`);
      t.ok(closed > 0, 'the adapter was closed');
      t.equal(t.history.of('send', 'group.ready').length, 0, 'what was sent or made');
    },
  },
];
