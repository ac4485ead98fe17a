import type {
  BatchHandler,
  BatchSubscribeOptions,
  ErrorCode,
  PublishOptions,
  SubscribeOptions,
  Topic,
  TopicOptions,
  WaybillError,
} from '@waybill/core';
import type { CapabilityPath, Supports } from '@waybill/core/adapter';
import type {
  CaseBus,
  CaseHandler,
  CaseSpy,
  ConnectCaseOptions,
  Consumer,
  ConsumerScript,
  FaultControl,
  LoadOptions,
  Outcome,
  SpawnedConsumer,
  Stamped,
  StampedTopicOptions,
  StampOptions,
  UntilOptions,
} from './case-types.ts';
import type { Checker, Judgement } from './finding.ts';
import type { History } from './history.ts';
import type { Random } from './random.ts';

/** What a case is given. Everything it opens is closed when it ends. */
export interface CaseContext {
  /** `<case id>`. */
  readonly id: string;
  /** Random per run; in every name and stamp. */
  readonly run: string;
  readonly supports: Supports;
  readonly target: { readonly name: string; readonly how: string; readonly kind: string };
  readonly seed: number;
  readonly random: Random;
  readonly history: History;
  /** How much larger than usual this run is to be: multiplies the messages and rounds of fault cases. Default 1. */
  readonly scale: number;

  // Names
  /** A topic of stamped messages under a fresh legal name made from this one. */
  topic(name: string, options?: StampedTopicOptions): Topic<Stamped>;
  /** A topic of any payload under a fresh name. */
  topicOf<T>(name: string, options?: TopicOptions<T>): Topic<T>;
  /** A fresh legal group name made from this one. */
  group(name: string): string;

  // Connections, publishing, consuming
  /** A recorded bus on a new connection to the same broker. Several calls: several connections. */
  connect(options?: ConnectCaseOptions): Promise<CaseBus>;
  /** Publishes one stamped message; never throws for an outcome. `bus.publish` is the user's call, with its errors. */
  publish(bus: CaseBus, topic: Topic<Stamped>, key?: string | null, options?: StampOptions): Promise<Outcome>;
  /** Publishes many stamped messages, keys interleaved; resolves with all outcomes. */
  load(bus: CaseBus, topic: Topic<Stamped>, options: LoadOptions): Promise<readonly Outcome[]>;
  /** A recorded subscription; resolves when it stands. The default handler returns at once. */
  consume<T>(bus: CaseBus, topic: Topic<T>, options: SubscribeOptions, handler?: CaseHandler<T>): Promise<Consumer>;
  consumeBatches<T>(
    bus: CaseBus,
    topic: Topic<T>,
    options: BatchSubscribeOptions,
    handler?: BatchHandler<T>,
  ): Promise<Consumer>;
  /** A consumer in a process of its own (where only connections can crash: on one of those). Needs `kill-consumer`. */
  spawn(
    topic: Topic<Stamped>,
    options: SubscribeOptions,
    script?: ConsumerScript,
    config?: ConnectCaseOptions['config'],
  ): Promise<SpawnedConsumer>;
  /** An `address` for a group of this name, as this broker's own objects are called. */
  address(group: string): string;
  /** A group that exists before its first consumer: a connection whose config provisions it. */
  provision(topic: Topic<Stamped>, groups: readonly string[], config?: ConnectCaseOptions['config']): Promise<void>;

  // Waiting
  /** Waits for a condition. At the deadline the case fails, saying `what`, or is inconclusive if the broker is dead. */
  until(condition: () => unknown, what: string, options?: UntilOptions): Promise<void>;
  /** Waits for a promise, with a deadline that says `what`. */
  within<T>(promise: Promise<T>, what: string, ms?: number): Promise<T>;
  /** Waits until a value has not changed for max(500 ms, 3 × its longest pause); resolves with its maximum. */
  settled(read: () => number, what: string): Promise<number>;
  /** Reads on, so that extras can come. Milliseconds, scaled; default 1,000. The only fixed wait there is. */
  straggle(ms?: number): Promise<void>;
  /** Exactly this long, not scaled: a policy under test (a lease, a delay) must pass. */
  pass(ms: number): Promise<void>;
  /**
   * Publishes terminators behind everything published so far, on each key used (or on `keys`), and waits until every
   * one has reached each of these consumers' groups. Unordered topics get 20 of them, then a straggler window: 1 s in
   * quick cases, else the declared redelivery bound. A sentinel that does not come fails the case after its checkers
   * have had their say.
   */
  sentinel(
    bus: CaseBus,
    topic: Topic<Stamped>,
    consumers: readonly Consumer[],
    options?: { readonly keys?: readonly string[]; readonly publish?: PublishOptions },
  ): Promise<void>;
  /** Milliseconds × WAYBILL_TIME_FACTOR: for waiting deadlines and lateness, never for lower bounds or limits. */
  scaled(ms: number): number;
  /** Scaled, and × the pace of the harness: for what must outlast the broker's answers, such as a lease. */
  paced(ms: number): number;
  /** Monotonic milliseconds, as in events. */
  now(): number;
  /**
   * Reads each group to its end with fresh consumers on fresh connections: until all that was confirmed has been
   * delivered, plus a straggler window; or until nothing has come for a long time. Close the case's own consumers of
   * these groups first. `lost` needs it.
   */
  drainAll(topic: Topic<Stamped>, groups: readonly string[], options?: Partial<SubscribeOptions>): Promise<void>;
  /** Ids of which a dead letter of this group was confirmed, as sends show: for targets that can't browse, too. */
  deadLettered(topic: Pick<Topic<unknown>, 'name'>, group: string): readonly string[];
  /**
   * Waits until all that was confirmed so far has been delivered to each of these consumers' groups. When that does not
   * come, it closes them and drains the groups, so that the checker `lost` names what is missing.
   */
  delivered(topic: Topic<Stamped>, consumers: readonly Consumer[], options?: UntilOptions): Promise<void>;
  /** Wants this promise settled (either way) by the end of the case: judged by `pending`. Returns it. */
  track<T>(what: string, promise: Promise<T>): Promise<T>;

  // Faults and the broker's own view
  readonly fault: FaultControl;
  readonly spy: CaseSpy;

  // Saying what was seen
  /** Runs these checkers over the history; the runner turns the result into the verdict. */
  judge(...checkers: readonly Checker[]): Judgement;
  /** Fails the case unless `condition`. Counts as something examined. */
  ok(condition: unknown, what: string): void;
  /** Fails the case unless the two are deeply equal. */
  equal(actual: unknown, expected: unknown, what: string): void;
  fail(what: string): never;
  /** The promise must reject with a Waybill error of this code; returns the error. */
  expectError(
    promise: Promise<unknown> | (() => unknown),
    code: ErrorCode | readonly ErrorCode[],
  ): Promise<WaybillError>;
  /** Core may log errors that match; any other makes the case fail. */
  allowLog(pattern: RegExp): void;
  /** Adds a line to the history. */
  note(text: string): void;
  /** Says a figure for the report. */
  measure(name: string, value: number): void;
  /** An observation, never a failure: it works though the manifest refuses it. */
  under(path: CapabilityPath, works: boolean, how: string): void;
  inconclusive(reason: string): never;
  notRun(reason: string): never;
}
