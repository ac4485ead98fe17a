import { freezeSupports, type Supports } from '@waybill/core/adapter';
import { LONGEST, UNIT } from './delays.ts';
import type { Settings } from './options.ts';

/** How late a held-back message may come: it passes up to 19 queues, and a server may be busy. */
const lateness = 2_000;
const KiB = 1024;
const MiB = 1024 * KiB;

/** The manifest: true for every server from `server` on. */
export function supportsOf({
  server,
  queues,
  delays,
  heartbeat,
  consumerTimeout,
}: Pick<Settings, 'server' | 'queues' | 'delays' | 'heartbeat' | 'consumerTimeout'>): Supports {
  const quorum = queues === 'quorum';
  // The server gives a silent client up after two heartbeats, the client a silent server after three.
  const silence = 3 * heartbeat;
  return freezeSupports({
    format: 1,
    adapter: 'rabbitmq',
    publish: {
      durability: quorum ? 'disk' : 'process',
      batch: { messages: 500, bytes: 4 * MiB },
      inFlight: 4,
      // From 4.0 the server takes 16 MiB unless it is told otherwise.
      size: { text: 16 * MiB, binary: 16 * MiB },
      // Together with ours they must fit the 64 KiB in which the client encodes a table.
      headers: { count: 1_000, bytes: 40 * KiB },
      delay: {
        by: delays ? 'native' : 'refused',
        max: delays ? LONGEST : 0,
        granularity: UNIT,
        lateness,
        ordered: false,
      },
      dedup: { by: 'refused', window: 0 },
      unrouted: 'rejected',
    },
    deliver: {
      fanout: { by: 'native', window: 0 },
      redelivery: { by: 'native', bound: silence + 5_000 },
      // An ack has no answer, so nobody knows when it has settled.
      atMostOnce: { by: 'refused' },
      replay: { by: 'refused' },
      retention: { by: 'refused' },
      unsettled: { maxAge: null },
      filter: { by: 'emulated' },
      expiry: { by: 'emulated' },
    },
    order: {
      key: { by: 'emulated', partitions: 'counted' },
      // Consumer priorities move a single active consumer on quorum queues from 4.0 on, and nowhere else.
      spread: { by: quorum && server !== '3.10' ? 'emulated' : 'refused' },
      guard: { by: 'emulated' },
      fence: { by: 'refused' },
      handover: { forced: silence },
      parkedKeys: { by: 'refused' },
    },
    settle: {
      mode: 'individual',
      confirmed: false,
      repeats: 'never',
      nack: { by: 'native', max: 0, granularity: 1, attempts: false },
      deliveryCount: { by: quorum ? 'native' : 'refused' },
      attempts: { durable: false },
    },
    // Nothing prolongs a delivery; nothing ends it either, until the consumer timeout closes the channel.
    lease: { by: 'refused', default: consumerTimeout, max: consumerTimeout, granularity: 1_000 },
    receive: { batch: 200, stopDelay: 1_000, credit: 'partition', skip: false },
    requeue: { by: delays ? 'native' : 'refused', max: delays ? LONGEST : 0, granularity: UNIT, lateness },
    lag: { by: 'native', exact: false, age: false },
    browse: { by: 'emulated' },
    reset: { by: 'refused' },
    seek: { by: 'refused' },
    // `tx.commit` is atomic on one queue only: results and the ack of their message are on two.
    transactions: { by: 'refused' },
  });
}
