import { randomUUID } from 'node:crypto';
import type { IdempotencyStore } from '@waybill/core';
import type { Adapter } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ArrivalView } from '../../history.ts';
import { tampered } from '../flow/tampered.ts';

/** Sends each message under a `sendId` of its own, so that a second copy gets past the broker's own deduplication. */
export function withoutBrokerDedup(adapter: Adapter): Adapter {
  return tampered(adapter, {
    publish: (destination, messages, signal) =>
      adapter.publish(
        destination,
        messages.map((message) => ({ ...message, sendId: randomUUID() })),
        signal,
      ),
  });
}

/** A store that does first what `before` says of the call, which may throw or wait. */
export function watched(
  store: IdempotencyStore,
  before: (call: 'claim' | 'extend' | 'done' | 'release', id: string) => unknown,
): IdempotencyStore {
  return {
    scope: store.scope,
    claim: async (scope, id, leaseMs) => {
      await before('claim', id);
      return store.claim(scope, id, leaseMs);
    },
    extend: async (scope, id, leaseMs) => {
      await before('extend', id);
      await store.extend?.(scope, id, leaseMs);
    },
    done: async (scope, id, windowMs) => {
      await before('done', id);
      await store.done(scope, id, windowMs);
    },
    release: async (scope, id) => {
      await before('release', id);
      await store.release(scope, id);
    },
  };
}

/** Everything that arrived at the group is settled, at its last arrival, as far as the history can tell. */
export async function allSettled(t: CaseContext, group: string): Promise<void> {
  const open = (): number => {
    const last = new Map<string, ArrivalView>();
    for (const one of t.history.arrivals)
      if (one.group === group) last.set(`${one.id} ${JSON.stringify(one.position)}`, one);
    return [...last.values()].filter((one) => one.detachedWall === null && one.ackedWall === null).length;
  };
  // A watermark names only the last of what it settles.
  if (t.supports.settle.mode === 'cumulative') return;
  await t.until(() => open() === 0, 'all that arrived is acked', { total: 15_000 });
}
