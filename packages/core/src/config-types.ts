import type { BackoffConfig } from './backoff.ts';
import type { Adapter, StartPosition } from './contract.ts';
import type { Duration } from './duration.ts';
import type { RetryOptions, SubscribeOptions } from './options.ts';
import type { AdapterPackages } from './schemes.ts';

/** A broker: its URL, its URL with the adapter's own options under the adapter's name, or an adapter. */
export type BrokerConfig = string | Adapter | ({ readonly url: string } & Readonly<Record<string, unknown>>);

export interface TopicConfig {
  /** A name of `brokers`. Default: `main`, or the only one. */
  readonly broker?: string;
  /** 1 to 1,024. For ordered topics on brokers that count partitions; to change it later is refused (O7). */
  readonly partitions?: number;
  /** Groups to provision before their first consumer (D1). */
  readonly groups?: readonly string[];
  /** How long settled messages stay replayable. Refused where nothing is kept. */
  readonly retention?: Duration;
  /** The broker's existing object to use instead of one named by us. */
  readonly address?: string;
}

type Serialisable = 'concurrency' | 'prefetch' | 'prefetchBytes' | 'timeout' | 'lease' | 'drain' | 'deadLetter';
type SerialisableToo = 'onExhausted' | 'filter' | 'maxDeliveries';

/** What configuration may say about a subscription; it wins over the code, so that operations can turn it. */
export interface SubscriptionConfig extends Pick<SubscribeOptions, Serialisable | SerialisableToo> {
  readonly retry?: { readonly attempts?: number; readonly backoff?: BackoffConfig };
  /** Also a time with its zone, as text. */
  readonly start?: SubscribeOptions['start'] | `${number}-${string}T${string}`;
  /** The existing group to attach to: Kafka group id, Redis group, queue name. */
  readonly address?: string;
}

/** What `waybill.config.*` or the argument of `connect` holds. */
export interface WaybillConfig {
  readonly brokers: Readonly<Record<string, BrokerConfig>>;
  /** `create` (default): make what is missing. `verify`: refuse to start. `none`: look at nothing. */
  readonly topology?: 'create' | 'verify' | 'none';
  /** This program's name, written as `waybill-source`. */
  readonly source?: string;
  /** Put before every name: `prod___orders`. */
  readonly prefix?: string;
  readonly topics?: Readonly<Record<string, TopicConfig>>;
  /** By `topic/group`. */
  readonly subscriptions?: Readonly<Record<string, SubscriptionConfig>>;
  /** Packages of adapters that Waybill does not know, by URL scheme. */
  readonly adapters?: AdapterPackages;
  readonly publish?: {
    /** Default 10,000 and 64 MiB. */
    readonly bufferMessages?: number;
    readonly bufferBytes?: number;
    /** What `publish` does when the buffer is full. Default `block`. */
    readonly overflow?: 'block' | 'reject';
    /** Default 30 s. */
    readonly timeout?: Duration;
  };
  /** Default 10 s. */
  readonly connectTimeout?: Duration;
  /** Default 100 ms to 10 s. */
  readonly reconnect?: { readonly min?: Duration; readonly max?: Duration };
}

export type ResolvedBroker =
  | { readonly kind: 'instance'; readonly adapter: Adapter }
  /** `url` and `options` hold secrets; they are not enumerable, so that a printed configuration is without them. */
  | {
      readonly kind: 'url';
      readonly scheme: string;
      readonly url: string;
      readonly options: Readonly<Record<string, unknown>>;
    };

export interface ResolvedTopic {
  readonly broker: string;
  readonly partitions: number | null;
  readonly groups: readonly string[];
  /** Milliseconds. */
  readonly retention: number | null;
  readonly address: string | null;
}

/** Overrides in the form of `SubscribeOptions`: only what configuration says. */
export interface SubscriptionOverrides extends Pick<SubscribeOptions, Serialisable | SerialisableToo> {
  readonly retry?: Pick<RetryOptions, 'attempts' | 'backoff'>;
  readonly start?: StartPosition;
  readonly address?: string;
}

/** A checked configuration with every default filled in; times in ms. Frozen; its maps have no prototype. */
export interface ResolvedConfig {
  /** Where it came from, for errors: `waybill.config.ts`, `connect()`, `WAYBILL_URL`. */
  readonly where: string;
  readonly brokers: Readonly<Record<string, ResolvedBroker>>;
  /** Where topics go that name no broker; null where that would be a guess. */
  readonly defaultBroker: string | null;
  readonly topology: 'create' | 'verify' | 'none';
  readonly source: string | null;
  readonly prefix: string | null;
  readonly topics: Readonly<Record<string, ResolvedTopic>>;
  readonly subscriptions: Readonly<Record<string, SubscriptionOverrides>>;
  readonly adapters: AdapterPackages;
  readonly publish: {
    readonly bufferMessages: number;
    readonly bufferBytes: number;
    readonly overflow: 'block' | 'reject';
    readonly timeout: number;
  };
  readonly connectTimeout: number;
  readonly reconnect: { readonly min: number; readonly max: number };
}
