import type {
  Bus,
  ConnectOptions,
  HandlerContext,
  Message,
  PublishError,
  PublishOptions,
  Subscription,
  Topic,
  TopicOptions,
  WaybillConfig,
} from '@waybill/core';
import type { Adapter, Position } from '@waybill/core/adapter';
import type { Fault } from './case.ts';
import type { Deliver } from './event.ts';
import type { Heal, Spy } from './target.ts';

/** The payload of messages that the frame stamps, so that each can be recognised whatever happens to it. */
export interface Stamped {
  readonly run: string;
  readonly case: string;
  readonly key: string | null;
  /** Counts from 1 per topic and key; per topic for messages without a key. */
  readonly seq: number;
  readonly sentinel?: true;
  /** The case's own. */
  readonly data?: unknown;
}

export interface StampedTopicOptions extends Pick<
  TopicOptions<Stamped>,
  'type' | 'delivery' | 'buffer' | 'overflow' | 'onKeyFailure' | 'schema'
> {
  /** `key`: ordered by the stamped key. `spread`: has a key, but no order. `none` (default): no key. */
  readonly ordering?: 'key' | 'spread' | 'none';
}

/** What became of one publish. Never an exception, so that cases can publish into faults. */
export type Outcome =
  | { readonly status: 'confirmed'; readonly id: string; readonly seq: number; readonly position: Position | null }
  | {
      readonly status: 'rejected' | 'unknown';
      readonly id: string;
      readonly seq: number;
      readonly error: PublishError;
    };

export interface StampOptions extends PublishOptions {
  readonly data?: unknown;
  /** Instead of the next one. */
  readonly seq?: number;
}

/** `keys` × `each` messages, interleaved; or `each` messages without a key when `keys` is 0 or left out. */
export interface LoadOptions {
  readonly keys?: number;
  readonly each: number;
  /** Publishes open at once. Default 50. */
  readonly concurrency?: number;
  readonly data?: (key: string | null, seq: number) => unknown;
  /** Milliseconds between two publishes, not scaled. Default 0. */
  readonly gap?: number;
  /** Ends it early. With `each: Infinity` and a `gap`: a steady flow under a fault. */
  readonly signal?: AbortSignal;
  readonly options?: PublishOptions;
}

/** A topic of whatever payload, for lists of them. */
export type AnyTopic = Pick<Topic<unknown>, 'name' | 'ordered'>;

export interface ConnectCaseOptions extends Omit<ConnectOptions, 'topics'> {
  /** Checked and provisioned by `connect`, as a user's `topics`. */
  readonly topics?: readonly AnyTopic[];
  /** Beside `brokers`, which is this target: `topics`, `subscriptions`, `topology`, `publish`, `source` … */
  readonly config?: Partial<Omit<WaybillConfig, 'brokers'>>;
  /** Wraps this connection's adapter, inside the recorder: for a case that needs an adapter to misbehave. */
  readonly wrap?: (adapter: Adapter) => Adapter;
}

/** A connection of the case. Calls are those of `Bus`; publishes and subscriptions leave events in the history. */
export interface CaseBus extends Pick<
  Bus,
  'publish' | 'publishMany' | 'offer' | 'replay' | 'lag' | 'reset' | 'dlq' | 'use' | 'on' | 'health' | 'describe'
> {
  /** Names it in the history. */
  readonly name: string;
  /** What core itself gave. Publishes made here are not recorded. */
  readonly bus: Bus;
  /** The adapter as the harness made it. */
  readonly adapter: Adapter;
  drain(): Promise<void>;
  close(): Promise<void>;
}

export interface DeliveryInfo extends Deliver {
  /** 1 on this message's first delivery to this group, in this history. */
  readonly nth: number;
}

export type CaseHandler<T> = (message: Message<T>, context: HandlerContext, delivery: DeliveryInfo) => unknown;

/** A recorded subscription. Sentinels are counted apart and never reach the case's handler. */
export interface Consumer {
  readonly name: string;
  readonly topic: string;
  readonly group: string;
  readonly subscription: Subscription;
  /** Every handler run that began, in order; a live list. */
  readonly deliveries: readonly DeliveryInfo[];
  /** Ids of the different messages that came. */
  readonly ids: ReadonlySet<string>;
  /** Handler runs that began; different messages; handlers running now; runs that returned, and that threw. */
  readonly count: number;
  readonly distinct: number;
  readonly running: number;
  readonly returned: number;
  readonly threw: number;
  readonly sentinels: number;
  /** Which of them. */
  readonly sentinelSeqs: ReadonlySet<number>;
  /** Most handlers at once so far. */
  readonly peak: number;
  /** By `drain` or `close`, not by its bus. */
  readonly closed: boolean;
  pause(): void;
  resume(): void;
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** What a consumer in a process of its own does with each message. Data, since it crosses the process boundary. */
export interface ConsumerScript {
  /** `exit` ends the process inside the handler; `kill` does so by SIGKILL; `block` never returns. */
  readonly does: 'return' | 'throw' | 'block' | 'exit' | 'kill';
  /** Only for these sequence numbers (of any key); the others return. */
  readonly seqs?: readonly number[];
  /** Milliseconds that each handler takes first. */
  readonly takes?: number;
  /** A topic without keys, to which each handler first publishes the payload through its context. */
  readonly results?: string;
}

export interface SpawnedConsumer {
  readonly name: string;
  readonly group: string;
  /** Handler runs that it has begun, and ended by returning, as its history file says. */
  readonly started: number;
  readonly returned: number;
  readonly exited: boolean;
  /** SIGKILL: nothing is settled, given back or said. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  stop(): Promise<void>;
  wake(): Promise<void>;
  /** SIGTERM: an orderly drain; resolves at the exit. */
  drain(): Promise<void>;
}

export interface UntilOptions {
  /** Total deadline, ms, scaled. Default 30,000. */
  readonly total?: number;
  /** Fails earlier when the history has not grown for this long, ms, scaled. Default: the total. */
  readonly idle?: number;
}

/**
 * Starts faults. Each call waits until the fault is in force and returns its `Heal`; unhealed faults are healed when
 * the case ends. A fault that the harness lacks makes the case `not-run`.
 */
export interface FaultControl {
  has(fault: Fault): boolean;
  /** Limited to these connections; default: all of this target's. */
  cut(...only: CaseBus[]): Promise<Heal>;
  stall(...only: CaseBus[]): Promise<Heal>;
  dropResponses(...only: CaseBus[]): Promise<Heal>;
  killBroker(): Promise<Heal>;
  restart(): Promise<void>;
  pause(): Promise<Heal>;
  /** The next `count` sends get no answer; `stored` (default true) says whether they are stored. */
  unknownOutcome(
    count: number,
    options?: { readonly stored?: boolean; readonly only?: readonly CaseBus[] },
  ): Promise<Heal>;
  /** The next `count` sends are refused: `permanent` (default) so that core gives up, `passing` so that it sends again. */
  rejectSends(
    count: number,
    options?: { readonly refusal?: 'permanent' | 'passing'; readonly only?: readonly CaseBus[] },
  ): Promise<Heal>;
  /** Ends the leases of what this consumer holds, or takes its partitions. */
  takeOver(consumer: Consumer): Promise<Heal>;
  /** Every operation takes `ms` longer. */
  slow(ms: number): Promise<Heal>;
  /** The next `count` deliveries come a second time. */
  duplicate(count: number): Promise<Heal>;
  /** The connection dies as its process would. Nothing is settled, sent or given back after this. */
  crash(bus: CaseBus): Promise<void>;
}

/** The spy, with every method there: one that the harness lacks makes the case `not-run`. */
export type CaseSpy = { readonly [M in keyof Spy]-?: NonNullable<Spy[M]> };
