import type { BackoffPolicy } from './backoff.ts';
import type { HeaderValue, StartPosition } from './contract.ts';
import type { Duration } from './duration.ts';
import type { Filter } from './filter.ts';
import type { IdempotencyStore } from './idempotent.ts';

/** Options of one publish. */
export interface PublishOptions {
  /** Instead of what the topic's `key` function says. */
  readonly key?: string;
  /** Instead of a UUIDv7. 1 to 255 characters. */
  readonly id?: string;
  /** Names of 1 to 255 characters that don't begin with `waybill-`; strings or bytes. */
  readonly headers?: Readonly<Record<string, HeaderValue>>;
  /** Deliver not before this long from now. Refused where the broker can't (P7). */
  readonly delay?: Duration;
  /** No handler starts after this time (or this long from now). */
  readonly expires?: Date | Duration;
  /** Instead of the current time. */
  readonly time?: Date;
  /** Frees a publish that is waiting for room, or ends waiting for its outcome (then `unknown`). */
  readonly signal?: AbortSignal;
}

export interface RetryOptions {
  /** Handler runs in all, before the message is dead-lettered. 1 to 1,000; default 5. */
  readonly attempts?: number;
  /** Default: exponential, 200 ms × 2 up to 30 s, ± 20 %. */
  readonly backoff?: BackoffPolicy;
  /**
   * `in-place`: the key waits, unsettled. `requeue`: a copy comes later, others go on; refused when ordered. Default:
   * in-place when ordered, or when the delay is 5 s or less; else requeue.
   */
  readonly mode?: 'in-place' | 'requeue';
  /** Errors for which another attempt is useless: dead-lettered at once. */
  readonly nonRetryable?: (error: unknown) => boolean;
}

export interface SubscribeOptions {
  /** The name under which consumers share the work. */
  readonly group: string;
  /** Most handlers at once. 1 to 100,000; default 10. */
  readonly concurrency?: number;
  /** Most deliveries held at once. Default: the largest of 2 × concurrency (× `batch.size`), one full broker batch, and 8 × partitions where each has a credit of its own. */
  readonly prefetch?: number;
  /** Most bytes held; one receive may overshoot. Default 16 MiB. */
  readonly prefetchBytes?: number;
  readonly retry?: RetryOptions;
  /**
   * `true` (default): given-up messages go to the group's dead-letter topic. `false` needs `onExhausted`. `'key'`: the
   * messages behind it follow (refused where nothing can hold parked keys, R11).
   */
  readonly deadLetter?: boolean | 'key';
  /** `drop`: settle and count. `stop`: keep the message and stop the subscription. */
  readonly onExhausted?: 'drop' | 'stop';
  /** Where a new group starts. Default `held`: all that the broker holds for this group. */
  readonly start?: 'held' | 'earliest' | 'latest' | Date | StartPosition;
  /** Only messages that match; others are settled without the handler (D11). */
  readonly filter?: Filter;
  /** `at-least-once` (default), or `at-most-once`: settled before the handler. */
  readonly delivery?: 'at-least-once' | 'at-most-once';
  /**
   * From the call of the handler: after this the signal fires and the attempt has failed (R12). A handler that goes on all
   * the same keeps its message for one `lease` more at most. Default: none.
   */
  readonly timeout?: Duration;
  /** Default the adapter's (30 s), extended at half while held. 100 ms (or the broker's least) to the broker's maximum. */
  readonly lease?: Duration;
  /** What becomes of an expired message. Default `dead-letter`. */
  readonly onExpired?: 'dead-letter' | 'drop';
  /** Most arrivals, as the broker counts them, before a message is given up unseen (R10). Default max(3 × attempts, 10). */
  readonly maxDeliveries?: number;
  /** Remember handled ids, so that a copy is settled without the handler (E1). */
  readonly idempotent?: {
    readonly store: IdempotencyStore;
    readonly window?: Duration;
    readonly onStoreError?: 'wait' | 'fail';
  };
  /**
   * What the handler publishes by `context.publish`, and the settling of its message, happen together or not at all
   * (T1): results go out when the handler has returned, those of a run that threw never (T2). Its dead letters and requeued
   * copies are part of it, too; what it publishes by the bus itself, and what it does elsewhere, is not. Results must be
   * on the same broker. Not together with `batch`, `idempotent` or at-most-once. Default false.
   */
  readonly transactional?: boolean;
  /** How long `close` and `drain` wait for running handlers. Default 30 s. */
  readonly drain?: Duration;
}

export interface BatchOptions {
  /** Most messages in one call of the handler. 1 to 10,000. */
  readonly size: number;
  /** How long to wait for a full batch. Default 0: what is there. */
  readonly linger?: Duration;
}

export interface BatchSubscribeOptions extends SubscribeOptions {
  readonly batch: BatchOptions;
}

/** Every default, with its unit. Bounds are checked in `plan.ts`. */
export const DEFAULTS = {
  attempts: 5,
  /** Of an ordered topic, on brokers where Waybill counts partitions. */
  partitions: 12,
  concurrency: 10,
  prefetchBytes: 16_777_216,
  publishBufferMessages: 10_000,
  publishBufferBytes: 67_108_864,
  publishTimeout: 30_000,
  drain: 30_000,
  connectTimeout: 10_000,
  reconnectMin: 100,
  reconnectMax: 10_000,
  /** Unordered retries that wait longer than this are requeued. */
  requeueAfter: 5_000,
  /** Cumulative brokers: commit at least this often … */
  commitInterval: 1_000,
  /** … or after this many completions. */
  commitMessages: 1_000,
  /** How long done ids are remembered by an idempotent subscription. */
  idempotentWindow: 86_400_000,
  /** Largest body that is decoded. */
  maxDecodedBytes: 16_777_216,
} as const;
