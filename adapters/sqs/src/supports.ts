import { freezeSupports, type Supports } from '@waybill/core/adapter';
import type { Settings } from './options.ts';

/** What SQS takes in one message, and in one request: body, and names, types and values of attributes, in bytes. */
export const MOST_BYTES = 1_048_576;
/** Entries in one batch request, and messages in one receive. */
export const MOST_ENTRIES = 10;
/** The longest that SQS lets a message be held in all, in seconds. */
export const MOST_HELD = 43_200;
/** The longest delay of a send, in seconds. */
export const MOST_DELAY = 900;

/** Kept free in a message for Waybill's own headers and the user's. */
const forHeaders = 16_384;
/** SQS counts in whole seconds and moves what is due within about one more. */
const lateness = 2_000;

/** What SNS takes in one message, and in one request: its default. Counted alike. */
export const MOST_SNS_BYTES = 262_144;

/** The manifest: that of standard queues, or that of FIFO queues. */
export function supportsOf({
  fifo,
  name,
  groupRefresh,
  pollWait,
  lease,
  fanout,
}: Pick<Settings, 'fifo' | 'name' | 'groupRefresh' | 'pollWait' | 'lease' | 'fanout'>): Supports {
  const direct = fanout === 'direct';
  const bytes = direct ? MOST_BYTES : MOST_SNS_BYTES;
  const largest = bytes - forHeaders;
  const delays = direct && !fifo;
  const onFifo = fifo ? 'native' : 'refused';
  const onStandard = fifo ? 'refused' : 'native';
  return freezeSupports({
    format: 1,
    adapter: name,
    publish: {
      durability: 'replicated',
      batch: { messages: 10, bytes },
      inFlight: 16,
      // Bytes that are no text go as base64.
      size: { text: largest, binary: (largest / 4) * 3 },
      headers: { count: 1_000, bytes: 8_192 },
      // SNS delays nothing.
      delay: {
        by: delays ? 'native' : 'refused',
        max: delays ? MOST_DELAY * 1_000 : 0,
        granularity: 1_000,
        lateness,
        ordered: false,
      },
      dedup: { by: onFifo, window: fifo ? 300_000 : 0 },
      unrouted: 'rejected',
    },
    deliver: {
      fanout: direct ? { by: 'emulated', window: groupRefresh } : { by: 'native', window: 0 },
      // The default lease, in whole seconds, and a poll.
      redelivery: { by: 'native', bound: lease + 2_000 },
      atMostOnce: { by: onFifo },
      replay: { by: 'refused' },
      retention: { by: 'refused' },
      unsettled: { maxAge: 14 * 86_400_000 },
      filter: { by: 'emulated' },
      expiry: { by: 'emulated' },
    },
    order: {
      key: { by: onFifo, partitions: fifo ? 'broker' : 'none' },
      spread: { by: onFifo },
      guard: { by: 'refused' },
      fence: { by: 'refused' },
      handover: { forced: fifo ? lease : null },
      parkedKeys: { by: 'refused' },
    },
    settle: {
      mode: 'individual',
      confirmed: true,
      repeats: fifo ? 'never' : 'rare',
      nack: { by: 'native', max: (MOST_HELD - 60) * 1_000, granularity: 1_000, attempts: false },
      deliveryCount: { by: 'native' },
      attempts: { durable: false },
    },
    lease: { by: 'native', default: lease, max: (MOST_HELD - 60) * 1_000, granularity: 1_000 },
    receive: { batch: MOST_ENTRIES, stopDelay: pollWait + 1_000, credit: 'subscription', skip: false },
    requeue: { by: onStandard, max: fifo ? 0 : MOST_DELAY * 1_000, granularity: 1_000, lateness },
    lag: { by: 'native', exact: false, age: false },
    browse: { by: 'emulated' },
    reset: { by: 'refused' },
    seek: { by: 'refused' },
    // A send and a delete are two requests, and nothing joins them.
    transactions: { by: 'refused' },
  });
}
