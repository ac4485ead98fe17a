import { type BackoffPolicy, exponential, fixed, RetryAfter } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, backoff, guard, lost } from '../../checkers/index.ts';
import { deadLetters, heard } from './letters.ts';
import { blockedSince } from '../pace.ts';
import { withSupports } from '../wrapped.ts';

/**
 * How late a pause may end: a timer of core's and a turn of the event loop, and what this process was blocked for since
 * this was asked for. What brokers add, they declare.
 */
function timerLateness(t: CaseContext): () => number {
  const blocked = blockedSince();
  return () => t.scaled(1_000) + blocked();
}

/** A policy's shortest and longest pause after an attempt, by its documentation. */
function pauses(policy: BackoffPolicy, attempt: number): { low: number; high: number } {
  const { jitter } = policy;
  const max = policy.kind === 'fixed' ? Number.POSITIVE_INFINITY : policy.max;
  const middle =
    policy.kind === 'fixed' ? policy.delay : Math.min(max, policy.initial * policy.factor ** (attempt - 1));
  return { low: Math.floor(middle * (1 - jitter)), high: Math.ceil(Math.min(max, middle * (1 + jitter))) };
}

export const backoffBounds: readonly ConformanceCase[] = [
  {
    id: 'R2.exponential',
    guarantees: ['R2'],
    title: 'The pauses between attempts grow as the policy says, never shorter, and late by little.',
    cost: 'quick',
    run: async (t) => {
      const late = timerLateness(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const policy = exponential({ initial: 60, factor: 2, max: 200, jitter: 0.2 });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 5, backoff: policy, mode: 'in-place' } as const;
      const consumer = await t.consume(bus, orders, { group, retry, concurrency: 20 }, ({ payload }) => {
        if (payload.seq % 2 === 0) throw new Error('refused');
      });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => dead.length >= 10, 'ten messages are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      const bounds = (attempt: number): { low: number; high: number } => {
        const { low, high } = pauses(policy, attempt);
        return { low, high: high + late() };
      };
      return t.judge(backoff({ bounds }), attempts({ expected: 5 }), lost(), guard({ threw: 50 }));
    },
  },
  {
    id: 'R2.jitter',
    guarantees: ['R2'],
    title: 'Jitter spreads the pauses over its whole range, so that failed messages do not all come back at once.',
    cost: 'quick',
    run: async (t) => {
      const late = timerLateness(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const policy = fixed(300, { jitter: 0.8 });
      const retries = heard(bus, 'retry');
      const retry = { attempts: 2, backoff: policy, mode: 'in-place' } as const;
      const consumer = await t.consume(bus, orders, { group, retry, concurrency: 100 }, (_message, { attempt }) => {
        if (attempt === 1) throw new Error('only once');
      });
      await t.load(bus, orders, { each: 100 });
      await t.until(() => consumer.returned >= 100, 'all are handled in the end');
      const { low, high } = pauses(policy, 1);
      // As announced: what a busy machine adds is the checker's business.
      const delays = retries.map((one) => one.delay);
      const [shortest, longest] = [Math.min(...delays), Math.max(...delays)];
      t.measure('jitterShortest', shortest);
      t.measure('jitterLongest', longest);
      // Of 100 even draws none in the first or the last quarter: once in 10^12 runs.
      t.ok(shortest < low + (high - low) / 4, `the shortest pause (${shortest.toFixed(0)} ms) is near ${low} ms`);
      t.ok(longest > high - (high - low) / 4, `the longest pause (${longest.toFixed(0)} ms) is near ${high} ms`);
      return t.judge(backoff({ bounds: () => ({ low, high: high + late() }) }), attempts(), lost());
    },
  },
  {
    id: 'R2.requeued-copies',
    guarantees: ['R2', 'R1'],
    title: 'A later copy comes never before its time, and late by no more than declared.',
    needs: { requeue: true },
    cost: 'slow',
    run: async (t) => {
      const late = timerLateness(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const retry = {
        attempts: 3,
        backoff: exponential({ initial: 400, factor: 2, jitter: 0.1 }),
        mode: 'requeue',
      } as const;
      const consumer = await t.consume(bus, orders, { group, retry, concurrency: 20 }, (_message, { attempt }) => {
        if (attempt <= 2) throw new Error('not yet');
      });
      await t.load(bus, orders, { each: 20 });
      await t.until(() => consumer.returned >= 20, 'all are handled in the end');
      await t.sentinel(bus, orders, [consumer]);
      const { lateness, granularity } = t.supports.requeue;
      const bounds = (attempt: number): { low: number; high: number } => {
        const { low, high } = pauses(retry.backoff, attempt);
        return { low, high: high + t.scaled(lateness) + late() + granularity };
      };
      return t.judge(backoff({ bounds }), attempts(), lost(), guard({ threw: 40 }));
    },
  },
  {
    id: 'R13.counts-and-waits',
    guarantees: ['R13', 'R1', 'R2'],
    title: 'RetryAfter sets the next pause in place of the policy, and counts as an attempt.',
    cost: 'quick',
    run: async (t) => {
      const late = timerLateness(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 3, backoff: fixed(5), nonRetryable: () => true };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq % 2 === 0) throw new RetryAfter(250, { reason: 'the other side is busy' });
      });
      await t.load(bus, orders, { each: 10 });
      await t.until(() => dead.length >= 5, 'five messages are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.threw, 15, 'handler runs that failed');
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(
        letters.map((one) => [one.code, one.attempts]),
        letters.map(() => ['exhausted', 3]),
        'dead letters',
      );
      const bounds = (): { low: number; high: number } => ({ low: 250, high: 250 + late() });
      return t.judge(backoff({ bounds }), attempts({ expected: 3 }), lost(), guard({ threw: 15 }));
    },
  },
  {
    id: 'R13.too-long-when-ordered',
    guarantees: ['R13', 'D6'],
    title:
      'On an ordered topic a RetryAfter longer than a message may be held is dead-lettered as such, not shortened.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) => withSupports(adapter, held(adapter.supports, 2_000)),
      });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 3, backoff: fixed(10) };
      const consumer = await t.consume(bus, orders, { group, retry, lease: '1s' }, ({ payload }, { attempt }) => {
        if (payload.seq === 2) throw new RetryAfter('5s');
        if (payload.seq === 3 && attempt === 1) throw new RetryAfter(100);
      });
      await t.load(bus, orders, { keys: 5, each: 4 });
      await t.until(() => dead.length >= 5, 'five messages are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(
        letters.map((one) => [one.code, one.attempts]),
        letters.map(() => ['retry-too-long', 1]),
        'dead letters',
      );
      return t.judge(attempts(), lost(), guard({ threw: 10, confirmed: 20 }));
    },
  },
  {
    id: 'R13.too-long-when-unordered',
    guarantees: ['R13', 'R2'],
    title: 'Without order a RetryAfter longer than a message may be held comes by a later copy, in steps, never early.',
    needs: { requeue: true },
    cost: 'slow',
    run: async (t) => {
      const late = timerLateness(t);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      // The broker delays by half a second at most, so that the copy must wait on the way.
      const bus = await t.connect({
        topics: [orders],
        wrap: (adapter) => {
          const supports = held(adapter.supports, 1_000);
          return withSupports(adapter, { ...supports, requeue: { ...supports.requeue, max: 500 } });
        },
      });
      const retry = { attempts: 3, backoff: fixed(10) };
      const consumer = await t.consume(bus, orders, { group, retry, lease: '1s' }, ({ payload }, { attempt }) => {
        if (payload.seq % 2 === 0 && attempt === 1) throw new RetryAfter('1500ms');
      });
      await t.load(bus, orders, { each: 10 });
      await t.until(() => consumer.returned >= 10, 'all are handled in the end');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(t.history.of('send').filter((one) => one.kind === 'dead-letter').length, 0, 'dead letters');
      const { lateness, granularity } = t.supports.requeue;
      const bounds = (): { low: number; high: number } => ({
        low: 1_500,
        high: 1_500 + t.scaled(lateness) + late() + granularity,
      });
      return t.judge(backoff({ bounds }), attempts(), lost(), guard({ threw: 5 }));
    },
  },
];

/** As if the broker let a message be held for so long only. */
function held(supports: CaseContext['supports'], max: number): CaseContext['supports'] {
  return { ...supports, lease: { ...supports.lease, max: Math.min(max, supports.lease.max ?? max) } };
}
