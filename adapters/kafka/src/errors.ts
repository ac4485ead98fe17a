import { type ErrorCode, isNetworkError, WaybillError } from '@waybill/core/adapter';

/** Kafka's error codes by name, in the words of kafkajs, and what they mean here. */
const types: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^(?:UNKNOWN_TOPIC_OR_PARTITION|GROUP_ID_NOT_FOUND|TRANSACTIONAL_ID_NOT_FOUND)$/, 'not-found'],
  [/_AUTHORIZATION_FAILED$|^(?:SASL_AUTHENTICATION_FAILED|SECURITY_DISABLED)$/, 'denied'],
  [/^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE|OFFSET_METADATA_TOO_LARGE)$/, 'too-large'],
  [/^(?:THROTTLING_QUOTA_EXCEEDED|NOT_ENOUGH_REPLICAS(?:_AFTER_APPEND)?)$/, 'throttled'],
  [/^REQUEST_TIMED_OUT$/, 'timeout'],
  [
    /^(?:(?:LEADER|GROUP_COORDINATOR|BROKER|REPLICA|LISTENER)_NOT_(?:AVAILABLE|FOUND)|NETWORK_EXCEPTION|CORRUPT_MESSAGE|CONCURRENT_TRANSACTIONS|NOT_LEADER_FOR_PARTITION|NOT_COORDINATOR_FOR_GROUP|NOT_CONTROLLER|GROUP_LOAD_IN_PROGRESS|(?:UNKNOWN|FENCED)_LEADER_EPOCH|KAFKA_STORAGE_ERROR|COORDINATOR_LOAD_IN_PROGRESS|OFFSET_NOT_AVAILABLE|PREFERRED_LEADER_NOT_AVAILABLE|UNSTABLE_OFFSET_COMMIT|OFFSET_OUT_OF_RANGE|GROUP_MAX_SIZE_REACHED)$/,
    'unavailable',
  ],
  [/^(?:ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID|REBALANCE_IN_PROGRESS|(?:INVALID|FENCED)_PRODUCER_EPOCH)$/, 'unavailable'],
  // Of a producer whose time is over: the next life has another.
  [
    /^(?:INVALID_TXN_STATE|INVALID_PRODUCER_ID_MAPPING|UNKNOWN_PRODUCER_ID|OUT_OF_ORDER_SEQUENCE_NUMBER)$/,
    'unavailable',
  ],
  [/^(?:UNSUPPORTED_\w+|KAFKAJS_UNSUPPORTED\w*)$/, 'unsupported'],
  [/^(?:INVALID_\w+|POLICY_VIOLATION|INCONSISTENT_GROUP_PROTOCOL|TOPIC_ALREADY_EXISTS|NON_EMPTY_GROUP)$/, 'invalid'],
];

const names: Readonly<Record<string, ErrorCode>> = {
  KafkaJSSASLAuthenticationError: 'denied',
  KafkaJSConnectionError: 'disconnected',
  KafkaJSConnectionClosedError: 'disconnected',
  KafkaJSRequestTimeoutError: 'disconnected',
  KafkaJSLockTimeout: 'disconnected',
  KafkaJSBrokerNotFound: 'disconnected',
  KafkaJSGroupCoordinatorNotFound: 'disconnected',
  KafkaJSMetadataNotLoaded: 'unavailable',
  KafkaJSTopicMetadataNotLoaded: 'unavailable',
  KafkaJSNotImplemented: 'unsupported',
  KafkaJSServerDoesNotSupportApiKey: 'unsupported',
  KafkaJSTimeout: 'timeout',
  AbortError: 'timeout',
  TimeoutError: 'timeout',
};

/** Kafka's name of an error, whatever kafkajs has wrapped it in; '' where there is none. */
export function typeOf(error: unknown): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { type } = at as { type?: unknown };
    if (typeof type === 'string') return type;
  }
  return '';
}

/** The code of anything that this adapter throws. */
export function classify(error: unknown): ErrorCode {
  if (WaybillError.is(error)) return error.code;
  if (!(error instanceof Error)) return 'unclassified';
  const { errors } = error as { errors?: unknown };
  if (Array.isArray(errors) && errors.length > 0) return classify(errors[0]);
  const type = typeOf(error);
  const byType = types.find(([pattern]) => pattern.test(type));
  if (byType !== undefined) return byType[1];
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const byName = names[at.name];
    if (byName !== undefined) return byName;
    if (isNetworkError(at) || /not connected|producer is disconnect/i.test(at.message)) return 'disconnected';
  }
  return 'unclassified';
}

/** A topic has another number of partitions than the configuration says (O7). */
export function otherCount(name: string, found: number, wanted: number): WaybillError {
  return new WaybillError(
    'invalid',
    `kafka: '${name}' has ${found} partitions, and ${wanted} are configured; a key would have two homes`,
  );
}
