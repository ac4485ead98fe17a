import type { Consumer, ConsumerState } from './consumer.ts';
import type { Lag, StartPosition } from './contract.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import type { Dispatcher } from './dispatcher.ts';
import { WaybillError } from './errors.ts';
import type { Plan } from './plan.ts';
import { quote } from './quote.ts';
import { startPosition } from './start.ts';

/** What a subscription needs of its bus. */
export interface SubscriptionOwner {
  lag(): Promise<Lag>;
  refuse(path: 'seek' | 'lag', why: string): Promise<WaybillError>;
  readonly canSeek: boolean;
  forget(subscription: Subscription): void;
}

/** One group's attachment to one topic, in this process. */
export class Subscription {
  readonly topic: string;
  readonly group: string;
  /** The effective options, every default filled in; times in ms. */
  readonly options: Plan;
  readonly #consumer: Consumer;
  readonly #dispatcher: Dispatcher;
  readonly #owner: SubscriptionOwner;
  #closed = false;

  constructor(plan: Plan, consumer: Consumer, dispatcher: Dispatcher, owner: SubscriptionOwner) {
    this.topic = plan.topic;
    this.group = plan.group;
    this.options = plan;
    this.#consumer = consumer;
    this.#dispatcher = dispatcher;
    this.#owner = owner;
  }

  get status(): ConsumerState {
    return this.#consumer.state;
  }

  /** Deliveries held and not settled, those a poll under way may bring included (F1). */
  get held(): number {
    return this.#consumer.held;
  }

  /** Messages in handlers. */
  get running(): number {
    return this.#dispatcher.running;
  }

  /** Counts since it was opened. */
  get counts(): Readonly<DispatchCounts> {
    return this.#dispatcher.counts;
  }

  /** Monotonic ms of the last answer of the broker; null before the first. */
  get lastReceive(): number | null {
    return this.#consumer.lastReceive;
  }

  /** @internal Resolves when a replay has handled everything, or when it was closed. */
  get ended(): Promise<void> {
    return this.#consumer.ended;
  }

  /** No new handler starts in this process; running ones finish; what is held stays held (D9). Idempotent. */
  pause(): void {
    this.#open();
    this.#consumer.pause();
  }

  resume(): void {
    this.#open();
    this.#consumer.resume();
  }

  /** The new limit holds from the next handler on. @throws WaybillError `invalid` */
  setConcurrency(concurrency: number): void {
    this.#open();
    if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 100_000)
      throw new WaybillError(
        'invalid',
        `concurrency is ${quote(concurrency)}; allowed: a whole number from 1 to 100,000`,
      );
    this.#dispatcher.slots = concurrency * (this.options.batch?.size ?? 1);
  }

  /** Moves the group to a position while it runs (D8). @throws WaybillError `unsupported` where the broker can't. */
  async seek(to: StartPosition | Date): Promise<void> {
    this.#open();
    if (!this.#owner.canSeek) throw await this.#owner.refuse('seek', 'seek moves a running group');
    await this.#consumer.seek(startPosition(to, `seek of '${this.topic}/${this.group}': the position`));
  }

  /** Published for the group and not settled (F5). */
  async lag(): Promise<Lag> {
    this.#open();
    return this.#owner.lag();
  }

  /** Ends it gracefully; the same as `close`. */
  drain(): Promise<void> {
    return this.close();
  }

  /**
   * No new handler starts, unstarted deliveries go back without costing an attempt, running handlers finish up to the
   * drain deadline, and every ack is confirmed (L2). Idempotent.
   */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#consumer.close(this.options.drain);
    this.#owner.forget(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): void {
    if (this.#closed) throw new WaybillError('closed', `subscription '${this.topic}/${this.group}' is closed`);
  }
}
