import {
  type BatchHandler,
  type BatchSubscribeOptions,
  type SubscribeOptions,
  type Topic,
  topic,
  type TopicOptions,
} from '@waybill/core';
import type { CapabilityPath } from '@waybill/core/adapter';
import type { CaseContext } from './case-context.ts';
import type {
  CaseBus,
  CaseHandler,
  CaseSpy,
  ConnectCaseOptions,
  Consumer,
  LoadOptions,
  Outcome,
  SpawnedConsumer,
  Stamped,
  StampedTopicOptions,
  StampOptions,
  UntilOptions,
} from './case-types.ts';
import type { ConformanceCase } from './case.ts';
import { deadLettered, delivered, drainAll } from './drain-all.ts';
import { Faults } from './fault-control.ts';
import { type Checker, judge, type Judgement } from './finding.ts';
import type { History } from './history.ts';
import { Names } from './naming.ts';
import { Observed } from './observed.ts';
import { Opened } from './opened.ts';
import { Random, seedFrom } from './random.ts';
import { Recorder } from './recorder.ts';
import { CaseSignal } from './signals.ts';
import { spyOf } from './spying.ts';
import { Stamping } from './stamping.ts';
import type { Harness } from './target.ts';
import { Waiting } from './waiting.ts';

export interface ContextOptions {
  readonly harness: Harness;
  readonly case: ConformanceCase;
  readonly run: string;
  readonly seed: number;
  /** Of the bounds under test. */
  readonly factor: number;
  /** Of waiting deadlines. */
  readonly patience: number;
  /** Of message counts and rounds. */
  readonly scale: number;
  /** A folder of this run, for histories of child processes. */
  readonly folder: string;
  /** Numbers that are fresh in the whole run. */
  readonly next: () => number;
  /** Fires when the case's time is over. */
  readonly signal: AbortSignal;
}

/** The `t` of one run of one case. */
export class Context implements CaseContext {
  readonly id: string;
  readonly run: string;
  readonly seed: number;
  readonly scale: number;
  readonly supports: CaseContext['supports'];
  readonly target: CaseContext['target'];
  readonly random: Random;
  readonly fault: Faults;
  readonly spy: CaseSpy;
  readonly observed: Observed = new Observed();
  readonly recorder: Recorder;
  readonly opened: Opened;
  readonly #options: ContextOptions;
  readonly #names: Names;
  readonly #waiting: Waiting;
  readonly #stamping: Stamping;

  constructor(options: ContextOptions) {
    const { harness } = options;
    this.#options = options;
    this.id = options.case.id;
    this.run = options.run;
    this.seed = seedFrom(this.id, options.seed);
    this.scale = options.scale;
    this.supports = harness.supports;
    this.target = { name: harness.name, how: harness.how, kind: harness.kind };
    this.random = new Random(this.seed);
    this.recorder = new Recorder('suite');
    this.#names = new Names(options.run, this.id, options.next);
    const healthy = async (): Promise<boolean> => (await harness.healthy?.()) ?? true;
    this.#waiting = new Waiting(
      () => this.history.length,
      { ...options, pace: harness.pace ?? 1 },
      options.signal,
      healthy,
    );
    this.#stamping = new Stamping(options.run, this.id, this.#waiting);
    this.opened = new Opened({
      harness,
      recorder: this.recorder,
      observed: this.observed,
      seed: this.seed,
      fresh: (name) => this.#names.fresh(name),
      folder: options.folder,
    });
    this.fault = this.opened.fault;
    this.spy = spyOf(harness);
  }

  /** With what child processes have written so far. */
  get history(): History {
    this.opened.sync();
    return this.recorder.history;
  }

  topic(name: string, options: StampedTopicOptions = {}): Topic<Stamped> {
    const { ordering = 'none', ...rest } = options;
    if (ordering === 'none') return topic<Stamped>(this.#names.fresh(name), rest);
    return topic<Stamped>(this.#names.fresh(name), {
      ...rest,
      key: keyOf,
      ordering: ordering === 'key' ? 'key' : 'none',
    });
  }

  topicOf<T>(name: string, options: TopicOptions<T> = {}): Topic<T> {
    return topic<T>(this.#names.fresh(name), options);
  }

  group(name: string): string {
    return this.#names.fresh(name);
  }

  /** All fresh names that this case was given. */
  get names(): readonly string[] {
    return this.#names.given;
  }

  connect(options?: ConnectCaseOptions): Promise<CaseBus> {
    return this.opened.connect(options);
  }

  publish(bus: CaseBus, to: Topic<Stamped>, key?: string | null, options?: StampOptions): Promise<Outcome> {
    return this.#stamping.publish(bus, to, key, options);
  }

  load(bus: CaseBus, to: Topic<Stamped>, options: LoadOptions): Promise<readonly Outcome[]> {
    return this.#stamping.load(bus, to, options);
  }

  consume<T>(bus: CaseBus, of: Topic<T>, options: SubscribeOptions, handler?: CaseHandler<T>): Promise<Consumer> {
    return this.opened.consume(bus, of, options, handler);
  }

  consumeBatches<T>(
    bus: CaseBus,
    of: Topic<T>,
    options: BatchSubscribeOptions,
    handler?: BatchHandler<T>,
  ): Promise<Consumer> {
    return this.opened.consumeBatches(bus, of, options, handler);
  }

  spawn(...[of, options, script, config]: Parameters<CaseContext['spawn']>): Promise<SpawnedConsumer> {
    return this.opened.spawn(of, options, script, config);
  }

  address(group: string): string {
    return this.#options.harness.address?.(group) ?? group;
  }

  provision(of: Topic<Stamped>, groups: readonly string[], config?: ConnectCaseOptions['config']): Promise<void> {
    return this.opened.provision(of, groups, config);
  }

  until(condition: () => unknown, what: string, options?: UntilOptions): Promise<void> {
    return this.#waiting.until(condition, what, options);
  }

  within<T>(promise: Promise<T>, what: string, ms?: number): Promise<T> {
    return this.#waiting.within(promise, what, ms);
  }

  settled(read: () => number, what: string): Promise<number> {
    return this.#waiting.settled(read, what);
  }

  straggle(ms?: number): Promise<void> {
    return this.#waiting.straggle(ms);
  }

  pass(ms: number): Promise<void> {
    return this.#waiting.pass(ms);
  }

  async sentinel(...[bus, to, consumers, options]: Parameters<CaseContext['sentinel']>): Promise<void> {
    const straggle = this.#options.case.cost === 'quick' ? 1_000 : this.supports.deliver.redelivery.bound;
    const missing = await this.#stamping.sentinel(bus, to, consumers, { ...options, straggle });
    if (missing !== null) this.observed.afterwards.push(missing);
  }

  scaled(ms: number): number {
    return this.#waiting.scaled(ms);
  }

  paced(ms: number): number {
    return this.#waiting.paced(ms);
  }

  now(): number {
    return performance.now();
  }

  drainAll(of: Topic<Stamped>, groups: readonly string[], options: Partial<SubscribeOptions> = {}): Promise<void> {
    return drainAll(this, this.recorder, of, groups, options);
  }

  delivered(of: Topic<Stamped>, consumers: readonly Consumer[], options?: UntilOptions): Promise<void> {
    const reached = (condition: () => boolean): Promise<string | null> =>
      this.#waiting.reached(condition, { idle: 5_000, ...options });
    return delivered(this, reached, of, consumers);
  }

  deadLettered(of: Pick<Topic<unknown>, 'name'>, group: string): readonly string[] {
    return deadLettered(this.history, of.name, group);
  }

  track<T>(what: string, promise: Promise<T>): Promise<T> {
    const op = this.recorder.nextOp();
    this.recorder.record({ type: 'promise.start', op, what });
    const end = (): unknown => this.recorder.record({ type: 'promise.end', op, what });
    promise.then(end, end);
    return promise;
  }

  judge(...checkers: readonly Checker[]): Judgement {
    const judgement = judge(this.history, checkers);
    this.observed.judgements.push(judgement);
    return judgement;
  }

  readonly ok: CaseContext['ok'] = (condition, what) => this.observed.ok(condition, what);
  readonly equal: CaseContext['equal'] = (actual, expected, what) => this.observed.equal(actual, expected, what);
  readonly expectError: CaseContext['expectError'] = (promise, code) => this.observed.expectError(promise, code);
  readonly allowLog: CaseContext['allowLog'] = (pattern) => this.observed.allowLog(pattern);

  fail(what: string): never {
    throw new CaseSignal('failed', what);
  }

  note(text: string): void {
    this.recorder.record({ type: 'note', text });
  }

  measure(name: string, value: number): void {
    this.observed.figures[name] = value;
  }

  under(path: CapabilityPath, works: boolean, how: string): void {
    if (works) this.observed.underClaims.push(`${path} works though refused: ${how}`);
  }

  inconclusive(reason: string): never {
    throw new CaseSignal('inconclusive', reason);
  }

  notRun(reason: string): never {
    throw new CaseSignal('not-run', reason);
  }
}

function keyOf(payload: Stamped): string {
  return payload.key ?? '';
}
