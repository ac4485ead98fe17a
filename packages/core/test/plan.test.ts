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
