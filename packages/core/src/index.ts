/**
 * Waybill: one API for messaging over Kafka, RabbitMQ, SQS, Redis Streams and an embedded memory broker.
 *
 * @module
 */
export { type BackoffConfig, type BackoffPolicy, exponential, type ExponentialOptions, fixed } from './backoff.ts';
export { Bus, type Description } from './bus.ts';
export { type Clock, systemClock } from './clock.ts';
export type { Codec, CodecName } from './codec.ts';
export { defineConfig, parseConfig } from './config.ts';
export { loadConfig } from './config-file.ts';
export type {
  BrokerConfig,
  ResolvedBroker,
  ResolvedConfig,
  ResolvedTopic,
  SubscriptionConfig,
  TopicConfig,
  WaybillConfig,
} from './config-types.ts';
export { connect, type ConnectOptions } from './connect.ts';
export type { Adapter, AdapterModule, Facts, Headers, HeaderValue, Lag, Position, StartPosition } from './contract.ts';
export { type DeadLetters, type DeadMessage, type RedriveOptions } from './dead-letters.ts';
export type { DispatchCounts } from './dispatch-counts.ts';
export { type Duration, duration, formatDuration } from './duration.ts';
export { ERROR_CODES, type ErrorCode, type ErrorCodeInfo, PublishError, WaybillError } from './errors.ts';
export type { BusEventName, BusEvents } from './events.ts';
export type { Filter } from './filter.ts';
export { DeadLetter, RetryAfter } from './handler-errors.ts';
export type { Health } from './health.ts';
export type { IdempotencyStore } from './idempotent.ts';
export { installedManifests, loadAdapterPackage, openAdapter } from './load-adapter.ts';
export type { Log, LogLevel } from './log.ts';
export { memoryStore } from './memory-store.ts';
export type { BatchContext, BatchHandler, Handler, HandlerContext, Message, Published } from './message.ts';
export type { Middleware, PublishCall } from './middleware.ts';
export { type Need, refusal, subscriptionNeeds, topicNeeds, unmet } from './negotiation.ts';
export {
  type BatchOptions,
  type BatchSubscribeOptions,
  DEFAULTS,
  type PublishOptions,
  type RetryOptions,
  type SubscribeOptions,
} from './options.ts';
export { type Plan, resolvePlan } from './plan.ts';
export type { ReplayOptions } from './replay.ts';
export type { PublishResult } from './sending.ts';
export type { Subscription } from './subscription.ts';
export { type By, CAPABILITIES, capability, type Capability, type CapabilityPath, type Supports } from './supports.ts';
export { type AnyTopic, type DropPolicy, type Topic, topic, type TopicOptions } from './topic.ts';
