import { type Clock, duration, type Duration, systemClock, WaybillError } from '@waybill/core/adapter';
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

/** @throws WaybillError `invalid`, naming every option that is wrong. */
export function resolveBroker(options: BrokerOptions): BrokerSettings {
  const check = new Checker();
  check.known('', options, [
    'maxBytes',
    'maxBodyBytes',
    'retain',
    'maxAge',
    'dedup',
    'session',
    'handover',
    'copy',
    'clock',
  ]);
  check.known('retain.', options.retain ?? {}, ['messages', 'bytes']);
  check.known('dedup.', options.dedup ?? {}, ['window', 'messages']);
  const settings: BrokerSettings = {
    maxBytes: check.whole('maxBytes', options.maxBytes ?? 64 * MiB, 1024),
    maxBodyBytes: check.whole('maxBodyBytes', options.maxBodyBytes ?? 4 * MiB, 1),
    retain: {
      messages: check.whole('retain.messages', options.retain?.messages ?? 10_000, 0),
      bytes: check.whole('retain.bytes', options.retain?.bytes ?? 16 * MiB, 0),
    },
    maxAge: options.maxAge === undefined || options.maxAge === null ? null : check.time('maxAge', options.maxAge, 1),
    dedup: {
      window: check.time('dedup.window', options.dedup?.window ?? 60_000, 1),
      messages: check.whole('dedup.messages', options.dedup?.messages ?? 100_000, 1),
    },
    session: check.time('session', options.session ?? 2_000, 1),
    handover: check.time('handover', options.handover ?? 35_000, 1),
    copy: check.flag('copy', options.copy ?? true),
    clock: options.clock ?? systemClock,
  };
  check.done();
  return settings;
}

/** @throws WaybillError `invalid`, naming every option that is wrong. */
export function resolveAdapter(options: AdapterOptions): AdapterSettings {
  const check = new Checker();
  check.known('', options, ['settle', 'ordering', 'hide']);
  const settle = check.oneOf('settle', options.settle ?? 'individual', ['individual', 'cumulative']);
  const ordering = check.oneOf('ordering', options.ordering ?? 'key', ['key', 'none']);
  const hide: readonly Hideable[] = Array.isArray(options.hide ?? [])
    ? (options.hide ?? [])
    : [String(options.hide) as Hideable];
  for (const hidden of hide) check.oneOf('hide', hidden, HIDEABLE);
  check.done();
  return { cumulative: settle === 'cumulative', ordering: ordering === 'key', hidden: new Set(hide) };
}

class Checker {
  readonly #problems: string[] = [];

  known(path: string, options: object, names: readonly string[]): void {
    for (const name of Object.keys(options)) {
      if (!names.includes(name)) this.#problems.push(`${path}${name} is not an option; allowed: ${names.join(', ')}`);
    }
  }

  whole(name: string, value: number, least: number): number {
    if (!Number.isSafeInteger(value) || value < least) {
      this.#problems.push(`${name} is ${String(value)}; allowed: a whole number from ${least}`);
    }
    return value;
  }

  time(name: string, value: Duration, least: number): number {
    const ms = duration(value, `memory: ${name}`);
    if (ms < least) this.#problems.push(`${name} is ${String(value)}; allowed: a duration from ${least} ms`);
    return ms;
  }

  flag(name: string, value: boolean): boolean {
    if (typeof value !== 'boolean') this.#problems.push(`${name} is ${String(value)}; allowed: true, false`);
    return value;
  }

  oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
    if (!allowed.includes(value)) this.#problems.push(`${name} is '${value}'; allowed: ${allowed.join(', ')}`);
    return value;
  }

  done(): void {
    if (this.#problems.length > 0) throw new WaybillError('invalid', `memory: ${this.#problems.join('; ')}`);
  }
}
