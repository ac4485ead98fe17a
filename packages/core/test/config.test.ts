import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfig, topicConfigOf } from '../src/config.ts';
import { WaybillError } from '../src/errors.ts';
import { DEFAULTS } from '../src/options.ts';

const fakeAdapter = { name: 'fake', supports: {}, publish: () => undefined };

function problemsOf(input: unknown): string {
  try {
    parseConfig(input, 'test');
  } catch (error) {
    if (WaybillError.is(error) && error.code === 'invalid') return error.message;
    throw error;
  }
  return 'no problem';
}

describe('a good configuration', () => {
  test('has every default filled in', () => {
    const config = parseConfig({ brokers: { main: 'memory:' } }, 'test');
    expect(config).toMatchObject({
      where: 'test',
      defaultBroker: 'main',
      topology: 'create',
      source: null,
      prefix: null,
      connectTimeout: DEFAULTS.connectTimeout,
      reconnect: { min: DEFAULTS.reconnectMin, max: DEFAULTS.reconnectMax },
      publish: {
        bufferMessages: DEFAULTS.publishBufferMessages,
        bufferBytes: DEFAULTS.publishBufferBytes,
        overflow: 'block',
        timeout: DEFAULTS.publishTimeout,
      },
    });
  });

  test('is frozen to its leaves', () => {
    const config = parseConfig(
      {
        brokers: { main: 'memory:' },
        topics: { orders: { groups: ['a'] } },
        subscriptions: { 'orders/a': { retry: { attempts: 2 } } },
      },
      'test',
    );
    const open: string[] = [];
    const walk = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null) return;
      if (!Object.isFrozen(value)) open.push(path);
      for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
    };
    walk(config, 'config');
    expect(open).toEqual([]);
  });

  test('as design.md shows it', () => {
    const config = parseConfig(
      {
        brokers: { main: 'memory:', tasks: { url: 'sqs:', sqs: { region: 'eu-west-1' } } },
        topology: 'create',
        source: 'order-service',
        prefix: 'prod',
        topics: {
          orders: { partitions: 12, groups: ['inventory', 'fraud'], retention: '7d' },
          emails: { broker: 'tasks' },
        },
        subscriptions: { 'orders/inventory': { concurrency: 64, retry: { attempts: 8 } } },
      },
      'test',
    );
    expect(config.topics['orders']).toEqual({
      broker: 'main',
      partitions: 12,
      groups: ['inventory', 'fraud'],
      retention: 604_800_000,
      address: null,
    });
    expect(config.topics['emails']?.broker).toBe('tasks');
    expect(config.brokers['tasks']).toMatchObject({ kind: 'url', scheme: 'sqs' });
    expect(config.subscriptions['orders/inventory']).toEqual({ concurrency: 64, retry: { attempts: 8 } });
  });

  test('keeps an adapter instance as it is, unfrozen', () => {
    const broker = parseConfig({ brokers: { main: fakeAdapter } }, 'test').brokers['main'];
    expect(broker).toEqual({ kind: 'instance', adapter: fakeAdapter });
    expect(Object.isFrozen(fakeAdapter)).toBe(false);
  });

  test('topics may have the names of what every object has', () => {
    const config = parseConfig({ brokers: { main: 'memory:' }, topics: { constructor: { partitions: 3 } } }, 'test');
    expect(config.topics['constructor']?.partitions).toBe(3);
    expect(config.topics['valueof']).toBeUndefined();
    expect(topicConfigOf(parseConfig({ brokers: { main: 'memory:' } }, 'test'), 'constructor').partitions).toBeNull();
  });

  test.each([
    ['main', { main: 'memory:', other: 'memory:' }, 'main'],
    ['the only one', { tasks: 'memory:' }, 'tasks'],
    ['none of several', { a: 'memory:', b: 'memory:' }, null],
  ])('topics go to %s', (_, brokers, expected) => {
    expect(parseConfig({ brokers }, 'test').defaultBroker).toBe(expected);
  });

  test('a topic without a broker among several is refused when it is used', () => {
    const config = parseConfig({ brokers: { a: 'memory:', b: 'memory:' } }, 'test');
    expect(() => topicConfigOf(config, 'orders')).toThrow("topic 'orders' has no broker");
  });

  test.each([
    ['earliest', 'earliest'],
    ['2026-01-31T12:00:00Z', { time: Date.UTC(2026, 0, 31, 12) }],
    [new Date(5), { time: 5 }],
    [{ time: 7 }, { time: 7 }],
    [{ position: { 0: '5-0' } }, { position: { 0: '5-0' } }],
  ])('start %j', (start, expected) => {
    const config = parseConfig({ brokers: { main: 'memory:' }, subscriptions: { 'orders/a': { start } } }, 'test');
    expect(config.subscriptions['orders/a']?.start).toEqual(expected);
  });

  test('backoff becomes the policy that core takes', () => {
    const backoff = { kind: 'exponential', initial: '1s', max: '1m' };
    const config = parseConfig(
      { brokers: { main: 'memory:' }, subscriptions: { 'orders/a': { retry: { backoff } } } },
      'test',
    );
    expect(config.subscriptions['orders/a']?.retry?.backoff).toEqual({
      kind: 'exponential',
      initial: 1000,
      factor: 2,
      max: 60_000,
      jitter: 0.2,
    });
  });

  test('printed, it shows neither URL nor options', () => {
    const config = parseConfig(
      { brokers: { main: { url: 'redis://u:s3cretword@h', redis: { tls: { key: 's3cretkey' } } } } },
      'test',
    );
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toMatch(/s3cret/);
    expect(config.brokers['main']).toHaveProperty('url', 'redis://u:s3cretword@h');
  });
});

describe('a bad configuration', () => {
  const main = { brokers: { main: 'memory:' } };
  test.each<[unknown, string]>([
    [null, 'the configuration is null; allowed: an object with brokers, topology'],
    [{}, 'brokers is missing; allowed: at least one name with its URL'],
    [{ brokers: {} }, 'brokers is empty'],
    [
      { brokers: { main: 5 } },
      'brokers.main is a number; allowed: a URL, { url, <adapter>: its options }, or an adapter',
    ],
    [{ brokers: { main: { redis: {} } } }, 'brokers.main has no url'],
    [
      { brokers: { main: 'redsi://h' } },
      "brokers.main has the scheme 'redsi', which has no adapter; did you mean 'redis'?",
    ],
    [
      { brokers: { main: { url: 'redis://h', reids: {} } } },
      "brokers.main.reids is not known (did you mean 'redis'?); allowed here: url, redis",
    ],
    [{ brokers: { main: { url: 'redis://h', redis: 5 } } }, 'brokers.main.redis is not an object'],
    [{ brokers: { Main: 'memory:' } }, 'brokers.Main is wrong'],
    [{ ...main, topicz: {} }, "topicz is not known (did you mean 'topics'?); allowed here: brokers, topology"],
    [
      { ...main, topics: { orders: { partitions: 0 } } },
      'topics.orders.partitions is 0; allowed: a whole number from 1 to 1,024',
    ],
    [
      { ...main, topics: { orders: { partition: 3 } } },
      "topics.orders.partition is not known (did you mean 'partitions'?)",
    ],
    [
      { ...main, topics: { orders: { broker: 'mian' } } },
      "topics.orders.broker names the broker 'mian', which brokers does not have; did you mean 'main'?",
    ],
    [{ ...main, topics: { orders: { groups: ['a', 'a'] } } }, 'topics.orders.groups[1] is named twice'],
    [{ ...main, topics: { orders: { groups: ['dlq'] } } }, "topics.orders.groups[0] is 'dlq'; allowed:"],
    [
      { ...main, topics: { orders: { retention: 'long' } } },
      "topics.orders.retention is 'long'; allowed: a duration from 1 s to 10 years",
    ],
    [{ ...main, topics: { Orders: {} } }, 'topics.Orders is wrong: topic name'],
    [JSON.parse('{"brokers":{"main":"memory:"},"topics":{"__proto__":{}}}'), 'topics.__proto__ is wrong'],
    [
      { brokers: { a: 'memory:', b: 'memory:' }, topics: { orders: {} } },
      'topics.orders names no broker, and none is called main; allowed: broker: a or b',
    ],
    [
      { ...main, subscriptions: { orders: {} } },
      "subscriptions.orders is not a subscription; allowed: a topic and a group, such as 'orders/inventory'",
    ],
    [
      { ...main, subscriptions: { 'orders/retry': {} } },
      "subscriptions['orders/retry'] is wrong: group name 'retry' is reserved",
    ],
    [
      { ...main, subscriptions: { 'orders/a': { concurency: 1 } } },
      "subscriptions['orders/a'].concurency is not known (did you mean 'concurrency'?)",
    ],
    [
      { ...main, subscriptions: { 'orders/a': { retry: { attempts: 0 } } } },
      "subscriptions['orders/a'].retry.attempts is 0",
    ],
    [
      { ...main, subscriptions: { 'orders/a': { deadLetter: 'key', onExhausted: 'drop' } } },
      "onExhausted can't stand beside deadLetter: key",
    ],
    [
      { ...main, subscriptions: { 'orders/a': { start: '2026-01-31' } } },
      "start is '2026-01-31'; allowed: 'held', 'earliest'",
    ],
    [
      { ...main, subscriptions: { 'orders/a': { filter: { type: 'a*' } } } },
      'filter is an object; allowed: { type, headers } of patterns',
    ],
    [{ ...main, subscriptions: { 'orders/a': { filter: 5 } } }, 'filter is 5; allowed:'],
    [
      { ...main, subscriptions: { 'orders/a': { retry: { backoff: { kind: 'fixed' } } } } },
      'retry.backoff.delay is missing',
    ],
    [
      { ...main, subscriptions: { 'orders/a': { retry: { backoff: { kind: 'fixed', delay: 1, initial: 1 } } } } },
      "retry.backoff.initial has no meaning where kind is 'fixed'",
    ],
    [
      { ...main, subscriptions: { 'orders/a': { retry: { backoff: { kind: 'exponential', initial: '1h' } } } } },
      'retry.backoff.initial is 3600000 ms, longer than',
    ],
    [{ ...main, reconnect: { min: '1m' } }, 'reconnect.min is 60000 ms, longer than reconnect.max, which is 10000 ms'],
    [{ ...main, topology: 'make' }, "topology is 'make'; allowed: 'create' or 'verify' or 'none'"],
    [{ ...main, prefix: 'Prod' }, "prefix is 'Prod'; allowed: words of a-z"],
    [{ ...main, publish: { overflow: 'drop' } }, "publish.overflow is 'drop'; allowed: 'block' or 'reject'"],
    [{ ...main, adapters: { redis: '@acme/redis' } }, "adapters.redis can't be changed"],
    [{ ...main, adapters: { nats: '../evil.js' } }, 'adapters.nats is not the name of a package'],
    [{ ...main, adapters: { nats: 'file:///evil.js' } }, 'adapters.nats is not the name of a package'],
  ])('%j', (input, expected) => {
    expect(problemsOf(input)).toContain(expected);
  });

  test('all problems come in one error', () => {
    const message = problemsOf({
      brokers: { main: 'foo://x' },
      topologie: 1,
      topics: { orders: { partitions: -1, broker: 'x' } },
      subscriptions: { x: {} },
    });
    expect(message).toMatch(/^test has 5 problems:\n/);
    for (const path of [
      'brokers.main',
      'topologie',
      'topics.orders.partitions',
      'topics.orders.broker',
      'subscriptions.x',
    ]) {
      expect(message).toContain(`\n  - ${path} `);
    }
  });

  test('values from the environment are not shown', () => {
    const hidden = new Set(['source', 'topics.orders.retention']);
    const attempt = (): unknown =>
      parseConfig({ ...main, source: '', topics: { orders: { retention: 'hunter2222' } } }, 'test', hidden);
    expect(attempt).toThrow('topics.orders.retention is a text of 10 characters (not shown)');
  });
});

describe('properties', () => {
  const settings = fc.record(
    {
      brokers: fc.oneof(
        fc.jsonValue(),
        fc.dictionary(fc.string({ maxLength: 4 }), fc.oneof(fc.constant('memory:'), fc.jsonValue())),
      ),
      topics: fc.oneof(
        fc.jsonValue(),
        fc.dictionary(
          fc.string({ maxLength: 4 }),
          fc.record(
            { broker: fc.jsonValue(), partitions: fc.jsonValue(), groups: fc.jsonValue() },
            { requiredKeys: [] },
          ),
        ),
      ),
      subscriptions: fc.oneof(
        fc.jsonValue(),
        fc.dictionary(
          fc.constantFrom('a/b', 'a', '/', 'a/b/c'),
          fc.record({ retry: fc.jsonValue(), filter: fc.jsonValue(), start: fc.jsonValue() }, { requiredKeys: [] }),
        ),
      ),
      adapters: fc.jsonValue(),
      publish: fc.jsonValue(),
      reconnect: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );

  test('whatever the JSON, it resolves or throws one WaybillError `invalid`', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), settings), (input) => void problemsOf(input)),
      { numRuns: 1_000 },
    );
  });

  test('no secret of a URL or of options appears in a message', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9!$&'()*+,;=:@/?#%[\]. -]{6,20}$/).map((text) => `Zq9${text}`);
    const url = fc.constantFrom(
      (s: string) => `redis://user:${s}@host`,
      (s: string) => `redis://:${encodeURIComponent(s)}@host:1/0`,
      (s: string) => `amqps://u:${s}@`,
      (s: string) => `nope://u:${encodeURIComponent(s)}@host`,
      (s: string) => `kafka://h?password=${s}`,
      (s: string) => `u:${s}@host`,
    );
    fc.assert(
      fc.property(secret, url, (text, form) => {
        const given = form(text);
        const inputs = [
          { brokers: { main: given }, source: 5 },
          { brokers: { main: { url: given, redis: { password: text }, extra: text } } },
          { brokers: { main: [given] }, topics: { orders: { broker: 'x' } } },
          { brokers: given },
        ];
        for (const input of inputs) {
          const message = problemsOf(input);
          expect(message).not.toContain(text);
          expect(message).not.toContain('Zq9');
        }
      }),
      { numRuns: 500 },
    );
  });
});
