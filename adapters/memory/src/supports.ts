import { type By, freezeSupports, type Supports } from '@waybill/core/adapter';
import type { AdapterSettings, BrokerSettings, Hideable } from './options.ts';

/** Node's timers and one turn of a busy event loop. */
const lateness = 250;

/** The manifest of one adapter instance. */
export function manifest(adapter: AdapterSettings, broker: BrokerSettings): Supports {
  const { cumulative, ordering } = adapter;
  // A cumulative commit can't leave a gap, so what is given back or leased on its own goes with it.
  const gone: readonly Hideable[] = cumulative
    ? ['nack', 'attempts', 'lease', 'delay', 'deliveryCount', 'requeue']
    : [];
  const has = (name: Hideable): boolean => !adapter.hidden.has(name) && !gone.includes(name);
  const native = (name: Hideable, otherwise: By = 'refused'): By => (has(name) ? 'native' : otherwise);
  const orderly: By = ordering ? 'native' : 'refused';
  return freezeSupports({
    format: 1,
    adapter: 'memory',
    publish: {
      durability: 'memory',
      batch: { messages: 512, bytes: 16 * 1024 * 1024 },
      inFlight: 1,
      size: { text: broker.maxBodyBytes, binary: broker.maxBodyBytes },
      headers: { count: null, bytes: null },
      delay: { by: native('delay'), max: null, granularity: 1, lateness, ordered: false },
      dedup: { by: native('dedup'), window: has('dedup') ? broker.dedup.window : 0 },
      unrouted: 'kept',
    },
    deliver: {
      fanout: { by: 'native', window: 0 },
      redelivery: { by: 'native', bound: broker.session + 2 * lateness },
      atMostOnce: { by: 'native' },
      replay: { by: native('replay') },
      retention: { by: native('retention') },
      unsettled: { maxAge: broker.maxAge },
      filter: { by: 'emulated' },
      expiry: { by: 'emulated' },
    },
    order: {
      key: { by: orderly, partitions: ordering ? 'counted' : 'none' },
      spread: { by: orderly },
      guard: { by: orderly },
      fence: { by: ordering ? native('fence') : 'refused' },
      handover: { forced: ordering ? 1_000 : null },
      parkedKeys: { by: 'refused' },
    },
    settle: {
      mode: cumulative ? 'cumulative' : 'individual',
      confirmed: true,
      repeats: 'never',
      nack: { by: native('nack'), max: null, granularity: 1, attempts: has('nack') && has('attempts') },
      deliveryCount: { by: native('deliveryCount') },
      // Core retries in place without telling the broker, so what a crash takes with it includes the count.
      attempts: { durable: false },
    },
    lease: { by: native('lease'), default: 30_000, max: null, granularity: 1 },
    receive: { batch: 256, stopDelay: 1_000, credit: 'subscription', skip: has('skip') },
    requeue: {
      by: native('requeue', 'emulated'),
      max: null,
      granularity: 1,
      lateness: has('requeue') ? lateness : 1_000,
    },
    lag: { by: native('lag'), exact: true, age: true },
    browse: { by: native('browse') },
    reset: { by: native('reset') },
    seek: { by: native('seek') },
    transactions: { by: native('transactions') },
  });
}
