import { freezeSupports, type Supports } from '@waybill/core/adapter';
import type { Settings } from './options.ts';

/** How late a held-back message may come: the mover looks every 200 ms, and a server may be busy. */
const lateness = 1_000;
const MiB = 1024 * 1024;

/** The manifest. Versions of the server change nothing in it: newer commands could only be faster. */
export function supportsOf({
  durability,
  dedupWindow,
  retention,
  lease,
}: Pick<Settings, 'durability' | 'dedupWindow' | 'retention' | 'lease'>): Supports {
  const dedup = dedupWindow > 0 ? 'emulated' : 'refused';
  const kept = retention > 0 ? 'native' : 'refused';
  return freezeSupports({
    format: 1,
    adapter: 'redis',
    publish: {
      durability,
      batch: { messages: 500, bytes: 4 * MiB },
      inFlight: 2,
      size: { text: 16 * MiB, binary: 16 * MiB },
      headers: { count: 1_000, bytes: MiB },
      delay: { by: 'emulated', max: null, granularity: 1, lateness, ordered: false },
      dedup: { by: dedup, window: dedupWindow },
      unrouted: 'kept',
    },
    deliver: {
      fanout: { by: 'native', window: 0 },
      // The default lease, and the look for idle entries or free partitions; a longer lease is waited for.
      redelivery: { by: 'emulated', bound: lease + 5_000 },
      atMostOnce: { by: 'emulated' },
      replay: { by: kept },
      retention: { by: 'emulated' },
      unsettled: { maxAge: null },
      filter: { by: 'emulated' },
      expiry: { by: 'emulated' },
    },
    order: {
      key: { by: 'emulated', partitions: 'counted' },
      spread: { by: 'emulated' },
      guard: { by: 'emulated' },
      fence: { by: 'emulated' },
      // The default lease: a handler's signal fires before it ends, and a process that was stopped may go on for longer.
      handover: { forced: lease },
      parkedKeys: { by: 'refused' },
    },
    settle: {
      mode: 'individual',
      confirmed: true,
      repeats: 'never',
      nack: { by: 'emulated', max: 0, granularity: 1, attempts: false },
      deliveryCount: { by: 'native' },
      attempts: { durable: false },
    },
    lease: { by: 'emulated', default: lease, max: null, granularity: 1 },
    receive: { batch: 200, stopDelay: 1_000, credit: 'subscription', skip: true },
    requeue: { by: 'emulated', max: null, granularity: 1, lateness },
    lag: { by: 'native', exact: true, age: true },
    browse: { by: 'native' },
    reset: { by: 'native' },
    seek: { by: 'refused' },
    // A result and the ack of its message lie under different keys, which one script may not touch on a Cluster.
    transactions: { by: 'refused' },
  });
}
