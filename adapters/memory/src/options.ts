import { type Clock, type Duration, OptionChecks, systemClock } from '@waybill/core/adapter';
import type { MemoryBroker } from './broker.ts';

/** What a broker keeps and how it behaves. Every adapter instance that is connected to it sees the same. */
export interface BrokerOptions {
  /** Most bytes stored, settled or not. Over it settled messages go, then publishes are `throttled`. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Largest body. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Settled messages that a topic keeps for replay, if it names no retention. Default 10,000 messages, 16 MiB. */
  readonly retain?: { readonly messages?: number; readonly bytes?: number };
  /** Unsettled messages older than this are given up. Default: never. */
  readonly maxAge?: Duration | null;
  /** How long a `sendId` is remembered (default 60 s), and how many per destination (default 100,000). */
  readonly dedup?: { readonly window?: Duration; readonly messages?: number };
  /** How long a killed consumer keeps what it held. Default 2 s. */
  readonly session?: Duration;
  /** How long a hand-over waits for the old owner to drain. Default 35 s. */
  readonly handover?: Duration;
  /** Copy bodies on publish, so that a publisher may reuse its buffer. Default true. */
  readonly copy?: boolean;
  readonly clock?: Clock;
}

/** Capabilities that an adapter instance can do without, so that core's emulations and refusals run. */
export const HIDEABLE = [
  'nack',
  'attempts',
  'lease',
  'delay',
  'dedup',
  'deliveryCount',
  'requeue',
  'replay',
  'retention',
  'fence',
  'skip',
  'lag',
  'browse',
  'reset',
  'seek',
  'transactions',
] as const;
export type Hideable = (typeof HIDEABLE)[number];

export interface AdapterOptions {
  /** `cumulative`: one receipt settles everything before it in its partition, as on Kafka. Default `individual`. */
  readonly settle?: 'individual' | 'cumulative';
  /** `none`: order per key is refused. Default `key`. */
  readonly ordering?: 'key' | 'none';
  readonly hide?: readonly Hideable[];
}

export interface MemoryOptions extends AdapterOptions, BrokerOptions {
  /** Share a broker with other adapter instances. Without it the adapter has one of its own. */
  readonly broker?: MemoryBroker;
}

export interface BrokerSettings {
  readonly maxBytes: number;
  readonly maxBodyBytes: number;
  readonly retain: { readonly messages: number; readonly bytes: number };
  readonly maxAge: number | null;
  readonly dedup: { readonly window: number; readonly messages: number };
  readonly session: number;
  readonly handover: number;
  readonly copy: boolean;
  readonly clock: Clock;
}

export interface AdapterSettings {
  readonly cumulative: boolean;
  readonly ordering: boolean;
  readonly hidden: ReadonlySet<Hideable>;
}

const MiB = 1024 * 1024;

const check = new OptionChecks('memory');
const ofBroker = ['maxBytes', 'maxBodyBytes', 'retain', 'maxAge', 'dedup', 'session', 'handover', 'copy', 'clock'];

/** @throws WaybillError `invalid` */
export function resolveBroker(options: BrokerOptions): BrokerSettings {
  const { retain = {}, dedup = {}, maxAge = null } = options;
  check.known(options, ofBroker);
  check.known(retain, ['messages', 'bytes'], 'retain.');
  check.known(dedup, ['window', 'messages'], 'dedup.');
  return {
    maxBytes: check.whole('maxBytes', options.maxBytes ?? 64 * MiB, 1024),
    maxBodyBytes: check.whole('maxBodyBytes', options.maxBodyBytes ?? 4 * MiB, 1),
    retain: {
      messages: check.whole('retain.messages', retain.messages ?? 10_000, 0),
      bytes: check.whole('retain.bytes', retain.bytes ?? 16 * MiB, 0),
    },
    maxAge: maxAge === null ? null : check.time('maxAge', maxAge, 1),
    dedup: {
      window: check.time('dedup.window', dedup.window ?? 60_000, 1),
      messages: check.whole('dedup.messages', dedup.messages ?? 100_000, 1),
    },
    session: check.time('session', options.session ?? 2_000, 1),
    handover: check.time('handover', options.handover ?? 35_000, 1),
    copy: check.flag('copy', options.copy, true),
    clock: options.clock ?? systemClock,
  };
}

/** @throws WaybillError `invalid` */
export function resolveAdapter(options: AdapterOptions): AdapterSettings {
  check.known(options, ['settle', 'ordering', 'hide']);
  const hide: unknown = options.hide ?? [];
  return {
    cumulative: check.oneOf('settle', options.settle, ['individual', 'cumulative']) === 'cumulative',
    ordering: check.oneOf('ordering', options.ordering, ['key', 'none']) === 'key',
    hidden: new Set((Array.isArray(hide) ? hide : [hide]).map((one) => check.oneOf('hide', one, HIDEABLE))),
  };
}
