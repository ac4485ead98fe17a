import { describe, expect, test } from 'vitest';
import { exponential, fixed } from '../src/backoff.ts';
import { type Need, refusal, subscriptionNeeds, topicNeeds, unmet } from '../src/negotiation.ts';
import type { Plan } from '../src/plan.ts';
import type { Supports } from '../src/supports.ts';

const native = { by: 'native' } as const;
const refused = { by: 'refused' } as const;

/** A broker that keeps everything. */
const full: Supports = {
  format: 1,
  adapter: 'full',
  publish: {
    durability: 'disk',
    batch: { messages: 100, bytes: 1e6 },
    inFlight: 4,
    size: { text: 1e6, binary: 1e6 },
    headers: { count: null, bytes: null },
    delay: { ...native, max: null, granularity: 1, lateness: 100, ordered: true },
    dedup: { ...native, window: 1000 },
    unrouted: 'kept',
  },
  deliver: {
    fanout: { ...native, window: 0 },
    redelivery: { ...native, bound: 1000 },
    atMostOnce: native,
    replay: native,
    retention: native,
    unsettled: { maxAge: null },
    filter: native,
    expiry: native,
  },
  order: {
    key: { ...native, partitions: 'counted' },
    spread: native,
    guard: native,
    fence: native,
    handover: { forced: 0 },
    parkedKeys: native,
  },
  settle: {
    mode: 'individual',
    confirmed: true,
    repeats: 'never',
    nack: { ...native, max: null, granularity: 1, attempts: true },
    deliveryCount: native,
    attempts: { durable: true },
  },
  lease: { ...native, default: 30_000, max: null, granularity: 1 },
  receive: { batch: 10, stopDelay: 0, credit: 'subscription', skip: true },
  requeue: { ...native, max: null, granularity: 1, lateness: 100 },
  lag: { ...native, exact: true, age: true },
  browse: native,
  reset: native,
  seek: native,
  transactions: native,
};

const without = <S extends keyof Supports>(section: S, change: Partial<Supports[S]>): Supports => ({
  ...full,
  [section]: { ...(full[section] as object), ...change },
});

const plan = (change: Partial<Plan> = {}): Plan => ({
  topic: 'orders',
  group: 'g',
  ordered: false,
  concurrency: 10,
  prefetch: 20,
  prefetchChosen: false,
  prefetchBytes: 1e6,
  attempts: 5,
  backoff: exponential(),
  retryMode: null,
  nonRetryable: null,
  deadLetter: true,
  onExhausted: 'drop',
  start: 'held',
  filter: null,
  matches: null,
  atMostOnce: false,
  timeout: null,
  lease: 30_000,
  onExpired: 'dead-letter',
  maxDeliveries: 15,
  idempotent: null,
  transactional: false,
  drain: 30_000,
  batch: null,
  ...change,
});

const store = { store: {}, window: 1, onStoreError: 'wait' } as never;
const leaseOf = (max: number): Supports => without('lease', { max });
const noRequeue = (max: number): Supports => ({ ...leaseOf(max), requeue: { ...full.requeue, ...refused } });
const paths = (needs: readonly Need[]): string[] => needs.map((need) => need.path);

test('the default subscription needs nothing that any broker refuses', () => {
  const poor: Supports = {
    ...full,
    deliver: { ...full.deliver, replay: refused, retention: refused, atMostOnce: refused },
    order: { ...full.order, key: { ...refused, partitions: 'none' }, parkedKeys: refused },
    settle: { ...full.settle, confirmed: false, repeats: 'rare', deliveryCount: refused },
  };
  expect(unmet(subscriptionNeeds({ name: 'orders', ordered: false }, plan(), null), poor)).toEqual([]);
});

describe('subscriptions', () => {
  test.each<[string, Partial<Plan>, number | null, Supports, string[]]>([
    ['order', { ordered: true }, null, without('order', { key: { ...refused, partitions: 'none' } }), ['order.key']],
    ['order kept', { ordered: true }, null, full, []],
    ['ordered requeue', { ordered: true, retryMode: 'requeue' }, null, full, ['order.key']],
    ['requeue', { retryMode: 'requeue' }, null, noRequeue(1e6), ['requeue']],
    ['earliest', { start: 'earliest' }, null, without('deliver', { replay: refused }), ['deliver.replay']],
    ['a time', { start: { time: 1 } }, null, without('deliver', { replay: refused }), ['deliver.replay']],
    [
      'a position',
      { start: { position: { 0: '1' } } },
      null,
      without('deliver', { replay: refused }),
      ['deliver.replay'],
    ],
    ['latest', { start: 'latest' }, null, without('deliver', { replay: refused }), []],
    ['filter', { filter: { type: 'a' } }, null, without('deliver', { filter: refused }), ['deliver.filter']],
    [
      'at most once, acks unconfirmed',
      { atMostOnce: true },
      null,
      without('settle', { confirmed: false }),
      ['deliver.atMostOnce'],
    ],
    [
      'at most once, settled may repeat',
      { atMostOnce: true },
      null,
      without('settle', { repeats: 'rare' }),
      ['deliver.atMostOnce'],
    ],
    [
      'at most once with a store',
      { atMostOnce: true, idempotent: store },
      null,
      without('settle', { repeats: 'rare' }),
      [],
    ],
    ['drop expired', { onExpired: 'drop' }, null, without('deliver', { expiry: refused }), ['deliver.expiry']],
    [
      'chosen maxDeliveries',
      { maxDeliveries: 3 },
      null,
      without('settle', { deliveryCount: refused }),
      ['settle.deliveryCount'],
    ],
    [
      'parked keys',
      { ordered: true, deadLetter: 'key' },
      null,
      without('order', { parkedKeys: refused }),
      ['order.parkedKeys'],
    ],
    ['parked keys without keys', { deadLetter: 'key' }, null, full, ['order.parkedKeys']],
    ['a transaction', { transactional: true }, null, { ...full, transactions: refused }, ['transactions']],
    ['in place, fits', { ordered: true, backoff: fixed(100), attempts: 4 }, null, leaseOf(300), []],
    ['in place, outlasts by 1 ms', { ordered: true, backoff: fixed(100), attempts: 4 }, null, leaseOf(299), ['lease']],
    [
      'in place, jitter counts',
      { retryMode: 'in-place', backoff: fixed(100, { jitter: 0.5 }), attempts: 2 },
      null,
      leaseOf(149),
      ['lease'],
    ],
    [
      'in place, every run may time out',
      { ordered: true, backoff: fixed(0), attempts: 3, timeout: 100 },
      null,
      leaseOf(299),
      ['lease'],
    ],
    ['unordered, long backoffs are requeued', { backoff: fixed(60_000) }, null, leaseOf(1000), []],
    ['unordered, nothing to requeue with', { backoff: fixed(60_000) }, null, noRequeue(1000), ['lease']],
    ['unordered, one run too long', { timeout: 2000 }, null, leaseOf(1000), ['lease']],
    [
      'prefetch below partitions',
      { prefetchChosen: true, prefetch: 3 },
      4,
      without('receive', { credit: 'partition' }),
      ['receive.credit'],
    ],
    [
      'prefetch equal to partitions',
      { prefetchChosen: true, prefetch: 4 },
      4,
      without('receive', { credit: 'partition' }),
      [],
    ],
    ['prefetch computed', { prefetch: 3 }, 4, without('receive', { credit: 'partition' }), []],
  ])('%s', (_, change, partitions, supports, expected) => {
    const topic = { name: 'orders', ordered: change.ordered ?? false };
    expect(paths(unmet(subscriptionNeeds(topic, plan(change), partitions), supports))).toEqual(expected);
  });
});

describe('topics', () => {
  const config = { broker: 'main', partitions: null, groups: [], retention: null, address: null };
  test.each([
    ['order', true, config, without('order', { key: { ...refused, partitions: 'none' } }), ['order.key']],
    [
      'retention',
      false,
      { ...config, retention: 1000 },
      without('deliver', { retention: refused }),
      ['deliver.retention'],
    ],
    [
      'fan-out',
      false,
      { ...config, groups: ['a', 'b'] },
      without('deliver', { fanout: { ...refused, window: 0 } }),
      ['deliver.fanout'],
    ],
    [
      'one group needs no fan-out',
      false,
      { ...config, groups: ['a'] },
      without('deliver', { fanout: { ...refused, window: 0 } }),
      [],
    ],
    ['partitions without order', false, { ...config, partitions: 3 }, full, ['order.key.partitions']],
    ['partitions with order', true, { ...config, partitions: 3 }, full, []],
  ])('%s', (_, ordered, topicConfig, supports, expected) => {
    expect(paths(unmet(topicNeeds({ name: 'orders', ordered }, topicConfig), supports))).toEqual(expected);
  });
});

test('a refusal lists every unmet need and who meets each', () => {
  const poor = {
    ...without('deliver', { replay: refused }),
    order: { ...full.order, key: { ...refused, partitions: 'none' as const } },
  };
  const needs = subscriptionNeeds(
    { name: 'orders', ordered: true },
    plan({ ordered: true, start: 'earliest', retryMode: 'requeue' }),
    null,
  );
  const error = refusal("subscription 'orders/g'", unmet(needs, poor), 'poor', {
    full,
    poor,
    half: without('deliver', { replay: refused }),
  });
  expect(error.code).toBe('unsupported');
  expect(error.message.split('\n')).toEqual([
    "subscription 'orders/g' asks for what poor does not keep:",
    "  - order.key: topic 'orders' has a key, so it needs order per key; or say ordering: 'none' (met by full, half)",
    "  - deliver.replay: start is 'earliest', which reads what others have settled; or start at 'held' or 'latest' (met by full)",
    "  - order.key: retry.mode is 'requeue', but a requeued message is overtaken by those of its key; use 'in-place', or ordering: 'none' (no installed broker meets it)",
  ]);
});
