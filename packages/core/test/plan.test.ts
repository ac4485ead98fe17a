import { expect, test } from 'vitest';
import { memoryStore } from '../src/memory-store.ts';
import { resolvePlan } from '../src/plan.ts';
import type { Supports } from '../src/supports.ts';

const supports = {
  lease: { default: 30_000, max: null, granularity: 1 },
  receive: { batch: 10, credit: 'subscription' },
} as unknown as Supports;

test.each([
  [{ batch: { size: 10 } }, /batch and transactional/],
  [{ idempotent: { store: memoryStore() } }, /idempotent and transactional/],
  [{ delivery: 'at-most-once' as const }, /at-most-once' and transactional/],
])('what would settle by another way than the transaction is refused beside it: %o', (options, said) => {
  const topic = { name: 'orders', ordered: false };
  expect(() => resolvePlan(topic, { group: 'g', transactional: true, ...options }, {}, supports, 1)).toThrow(said);
});

test.each([
  [{ start: 'begin' }, "start is 'begin'"],
  [{ batch: { size: 10, lingr: 5 } }, 'batch.lingr is not an option; allowed: size, linger'],
  [{ batch: { linger: 5 } }, 'batch.size is NaN; allowed: a whole number from 1 to 10000'],
  [{ idempotent: { store: memoryStore(), windw: 5 } }, 'idempotent.windw is not an option'],
  [{ idempotent: { window: 5 } }, 'idempotent.store is undefined; allowed: an object with claim, done and release'],
  [{ retry: { backoff: { kind: 'exponental' } } }, "backoff kind is 'exponental'; allowed: exponential, fixed"],
  [{ retry: { backoff: { kind: 'fixed' } } }, 'backoff delay is undefined'],
  [{ retry: { nonRetryable: true } }, 'retry.nonRetryable is true; allowed: a function'],
  [{ address: 'theirs' }, 'address is not an option'],
])('what nobody would heed is refused: %o', (options, said) => {
  const code = { group: 'g', ...options } as never;
  expect(() => resolvePlan({ name: 'orders', ordered: false }, code, {}, supports, 1)).toThrow(said);
});

test('a backoff that is written by hand has the defaults of what it leaves out', () => {
  const code = { group: 'g', retry: { backoff: { kind: 'exponential', initial: 5 } as never } };
  const { backoff } = resolvePlan({ name: 'orders', ordered: false }, code, {}, supports, 1);
  expect(backoff).toEqual({ kind: 'exponential', initial: 5, factor: 2, max: 30_000, jitter: 0.2 });
});
