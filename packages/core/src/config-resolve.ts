import { policyOf } from './backoff.ts';
import { isAdapter } from './config-references.ts';
import type {
  BrokerConfig,
  ResolvedBroker,
  ResolvedConfig,
  ResolvedTopic,
  SubscriptionConfig,
  SubscriptionOverrides,
  TopicConfig,
  WaybillConfig,
} from './config-types.ts';
import type { Adapter, StartPosition } from './contract.ts';
import { duration } from './duration.ts';
import { DEFAULTS } from './options.ts';
import { adapterOf, type AdapterPackages } from './schemes.ts';
import { startPosition } from './start.ts';
import { parseBrokerUrl } from './url.ts';

/** Fills in the defaults of a configuration that has been checked. */
export function resolveConfig(input: WaybillConfig, where: string): ResolvedConfig {
  const names = Object.keys(input.brokers);
  const defaultBroker = names.includes('main') ? 'main' : names.length === 1 ? (names[0] ?? null) : null;
  const { publish = {}, reconnect = {} } = input;
  return Object.freeze<ResolvedConfig>({
    where,
    brokers: mapped(input.brokers, (broker) => resolveBroker(broker, input.adapters ?? {})),
    defaultBroker,
    topology: input.topology ?? 'create',
    source: input.source ?? null,
    prefix: input.prefix ?? null,
    topics: mapped(input.topics ?? {}, (topic) => resolveTopic(topic, defaultBroker ?? '')),
    subscriptions: mapped(input.subscriptions ?? {}, resolveSubscription),
    adapters: mapped(input.adapters ?? {}, (name) => name),
    publish: Object.freeze({
      bufferMessages: publish.bufferMessages ?? DEFAULTS.publishBufferMessages,
      bufferBytes: publish.bufferBytes ?? DEFAULTS.publishBufferBytes,
      overflow: publish.overflow ?? 'block',
      timeout: duration(publish.timeout ?? DEFAULTS.publishTimeout),
    }),
    connectTimeout: duration(input.connectTimeout ?? DEFAULTS.connectTimeout),
    reconnect: Object.freeze({
      min: duration(reconnect.min ?? DEFAULTS.reconnectMin),
      max: duration(reconnect.max ?? DEFAULTS.reconnectMax),
    }),
  });
}

export function resolveTopic(topic: TopicConfig, defaultBroker: string): ResolvedTopic {
  return Object.freeze({
    broker: topic.broker ?? defaultBroker,
    partitions: topic.partitions ?? null,
    groups: Object.freeze([...(topic.groups ?? [])]),
    retention: topic.retention === undefined ? null : duration(topic.retention),
    address: topic.address ?? null,
  });
}

function resolveBroker(broker: BrokerConfig, adapters: AdapterPackages): ResolvedBroker {
  if (isAdapter(broker)) return Object.freeze({ kind: 'instance', adapter: broker as Adapter });
  const { url, ...own } = typeof broker === 'string' ? { url: broker } : (broker as { url: string });
  const { scheme } = parseBrokerUrl(url);
  const options = (own as Record<string, unknown>)[adapterOf(scheme, adapters)?.adapter ?? ''] ?? {};
  const resolved = { kind: 'url', scheme };
  Object.defineProperty(resolved, 'url', { value: url });
  Object.defineProperty(resolved, 'options', { value: Object.freeze({ ...options }) });
  return Object.freeze(resolved) as ResolvedBroker;
}

function resolveSubscription(config: SubscriptionConfig): SubscriptionOverrides {
  const { retry, start, ...others } = config;
  return frozenCopy({
    ...others,
    ...(retry !== undefined && {
      retry: { ...retry, ...(retry.backoff !== undefined && { backoff: policyOf(retry.backoff) }) },
    }),
    ...(start !== undefined && { start: resolveStart(start) }),
  }) as SubscriptionOverrides;
}

function resolveStart(start: NonNullable<SubscriptionConfig['start']>): StartPosition {
  const time = typeof start === 'string' ? Date.parse(start) : Number.NaN;
  return Number.isNaN(time) ? startPosition(start, 'start') : { time };
}

/** A map without prototype, because `constructor` is a good name for a topic. */
function mapped<T, R>(record: Readonly<Record<string, T>>, change: (value: T) => R): Readonly<Record<string, R>> {
  const map = Object.create(null) as Record<string, R>;
  for (const [key, value] of Object.entries(record)) map[key] = change(value);
  return Object.freeze(map);
}

/** Of plain data; options given as undefined are left out, so that they win over nothing. */
function frozenCopy(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy));
  if (typeof value !== 'object' || value === null) return value;
  const given = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.freeze(Object.fromEntries(given.map(([key, inner]) => [key, frozenCopy(inner)])));
}
