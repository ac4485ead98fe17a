import { freezeSupports, type Supports } from '@waybill/core/adapter';
import type { Settings } from './options.ts';

/** How late a parked copy may come: a fetch's wait, and a busy broker. */
const lateness = 1_000;
/** Of the topic's `max.message.bytes`, which holds for a batch of one, too: for key, headers and Kafka's own fields. */
const overhead = 65_536;

/** The manifest. Versions of the broker change nothing in it. */
export function supportsOf({
  durability,
  maxMessageBytes,
  retention,
  lease,
  maxWait,
  idempotent,
}: Pick<Settings, 'durability' | 'maxMessageBytes' | 'retention' | 'lease' | 'maxWait' | 'idempotent'>): Supports {
  const size = maxMessageBytes - overhead;
  return freezeSupports({
    format: 1,
    adapter: 'kafka',
    publish: {
      durability,
      batch: { messages: 500, bytes: 512 * 1024 },
      inFlight: idempotent ? 1 : 3,
      size: { text: size, binary: size },
      headers: { count: 1_000, bytes: overhead / 2 },
      delay: { by: 'refused', max: null, granularity: 1, lateness: 0, ordered: false },
      dedup: { by: 'refused', window: 0 },
      unrouted: 'kept',
    },
    deliver: {
      fanout: { by: 'native', window: 0 },
      // The session timeout by the default lease, and the rebalance; a longer lease is waited for.
      redelivery: { by: 'native', bound: lease + 5_000 },
      atMostOnce: { by: 'native' },
      replay: { by: 'native' },
      retention: { by: 'native' },
      // `retention.ms` counts from publication, settled or not.
      unsettled: { maxAge: retention === 0 ? null : retention },
      filter: { by: 'emulated' },
      expiry: { by: 'emulated' },
    },
    order: {
      key: { by: 'native', partitions: 'counted' },
      spread: { by: 'native' },
      guard: { by: 'native' },
      fence: { by: 'refused' },
      // A member that the group has thrown out hears of it with its next heartbeat, or when its own session timeout ends.
      handover: { forced: lease },
      parkedKeys: { by: 'refused' },
    },
    settle: {
      mode: 'cumulative',
      confirmed: true,
      repeats: 'never',
      nack: { by: 'refused', max: null, granularity: 1, attempts: false },
      deliveryCount: { by: 'refused' },
      attempts: { durable: false },
    },
    lease: { by: 'emulated', default: lease, max: null, granularity: 1 },
    receive: { batch: 500, stopDelay: maxWait + 1_000, credit: 'subscription', skip: true },
    requeue: { by: 'emulated', max: null, granularity: 1, lateness },
    lag: { by: 'native', exact: true, age: true },
    browse: { by: 'native' },
    reset: { by: 'native' },
    seek: { by: 'native' },
    transactions: { by: 'native' },
  });
}
