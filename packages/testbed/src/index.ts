/**
 * Real brokers for tests, for CI and for local development.
 *
 * @module
 */
export type { Certificates } from './certificates.ts';
export type { SqsBroker, SqsExtras, SqsStart } from './elasticmq.ts';
export type { KafkaBroker, KafkaExtras, KafkaNode, KafkaSasl, KafkaStart } from './kafka.ts';
export type { KafkaRight } from './kafka-admin.ts';
export { describeNotRun, isNotRun, isRequired, type NotRun, type Tried, variable, type Way, WAYS } from './not-run.ts';
export type { RabbitmqBroker, RabbitmqExtras, RabbitmqRights, RabbitmqStart } from './rabbitmq.ts';
export { type BrokerRecord, endRecorded, logOf, record, records, recordsFolder } from './records.ts';
export type { RedisBroker, RedisStart } from './redis.ts';
export type { Reply } from './resp.ts';
export {
  type Ability,
  type AbilityName,
  type BrokerProxy,
  type RunningBroker,
  type StartOptions,
  TestbedError,
} from './running-broker.ts';
export {
  BROKER_NAMES,
  type BrokerName,
  type Brokers,
  installBroker,
  requireBroker,
  startBroker,
} from './start-broker.ts';
export type { Direction } from './proxy-flow.ts';
export type { Match, ProxyConnection } from './proxy-pair.ts';
export { type Losing, ProxyPool } from './proxy-pool.ts';
export { type SqsCall, SqsDouble, type SqsDoubleOptions, type SqsFault, type SqsFaultTiming } from './sqs-double.ts';
export { TcpProxy } from './tcp-proxy.ts';
