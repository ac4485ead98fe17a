import { Claims } from './claims.ts';
import type { Clock } from './clock.ts';
import type { Copies } from './copies.ts';
import { WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import { Gate, type Verdict } from './gate.ts';
import type { Held, HeldState } from './held.ts';
import type { Plan } from './plan.ts';
import { decide, shown } from './retry.ts';
import type { Supports } from './supports.ts';
import { TimerHeap } from './timer-heap.ts';
import type { Topic } from './topic.ts';
import { Turns } from './turns.ts';

/** What runs handlers: one message at a time, or batches. Each run ends with `succeeded`, `failed` or `postponed`, once. */
export interface Executor {
  run(held: Held): void;
  /** Nothing more is ready just now: what waits for company may go. */
  flush(): void;
}

export interface DispatcherOptions {
  readonly plan: Plan;
  readonly topic: Topic<unknown, unknown>;
  readonly supports: Supports;
  readonly clock: Clock;
  readonly events: Events;
  readonly random: () => number;
  readonly copies: Copies;
  readonly replay: boolean;
  /** Credit or running handlers have changed. */
  readonly onChange: () => void;
  /** `onExhausted: 'stop'` has come true. */
  readonly onStop: () => void;
}

/** Counts since the start, shown by `health`. */
export interface DispatchCounts {
  handled: number;
  failed: number;
  filtered: number;
  expired: number;
  deadLettered: number;
  dropped: number;
  forged: number;
}

/**
 * Decides what runs, when, and what becomes of it: lanes per key (O1, O2), bounded concurrency (F1), retry in place with
 * the key held, requeue, dead letter before ack (R6). It holds no connection: deliveries know their attachment.
 */
export class Dispatcher {
  readonly counts: DispatchCounts = {
    handled: 0,
    failed: 0,
    filtered: 0,
    expired: 0,
    deadLettered: 0,
    dropped: 0,
    forged: 0,
  };
  readonly #options: DispatcherOptions;
  readonly #gate: Gate;
  readonly #claims: Claims | null;
  readonly #timers: TimerHeap<() => void>;
  readonly #turns: Turns;
  #executor!: Executor;
  #slots: number;
  #running = 0;
  #copying = 0;
  #pumping = false;
  #halted = false;

  constructor(options: DispatcherOptions) {
    const { plan, topic, clock, events, replay } = options;
    this.#options = options;
    this.#turns = new Turns(clock);
    this.#gate = new Gate(plan, topic, clock);
    const report = (error: WaybillError): void =>
      events.emit('error', { where: `subscription '${plan.topic}/${plan.group}'`, error });
    this.#claims = plan.idempotent === null || replay ? null : new Claims(plan, report);
    this.#slots = plan.concurrency * (plan.batch?.size ?? 1);
    this.#timers = new TimerHeap(clock, (due) => {
      for (const callback of due) callback();
      this.pump();
    });
  }

  set executor(executor: Executor) {
    this.#executor = executor;
  }

  /** Messages in handlers. */
  get running(): number {
    return this.#running;
  }

  /** Handlers and copies under way: what a drain waits for. */
  get busy(): number {
    return this.#running + this.#copying;
  }

  get ready(): number {
    return this.#turns.ready;
  }

  /** Deliveries queued behind their keys. */
  get waiting(): number {
    return this.#turns.waiting;
  }

  get halted(): boolean {
    return this.#halted;
  }

  /** How many messages may be in handlers at once. */
  set slots(value: number) {
    this.#slots = value;
    this.pump();
  }

  /** Partitions where deliveries behind held keys fill half the prefetch and nothing has moved for `patience` ms (O4). */
  stuckPartitions(patience: number): Set<number> | null {
    return this.#turns.stuckPartitions(this.#options.plan.prefetch / 2, patience);
  }

  waitingOf(partition: number): number {
    return this.#turns.waitingOf(partition);
  }

  /** How many more may come, if all are of one partition, before what waits there fills half the prefetch (O4). */
  get room(): number {
    const half = Math.floor(this.#options.plan.prefetch / 2);
    return Math.max(1, half + 1 - this.#turns.mostWaiting(half));
  }

  /** Much waits behind keys that still move: more would only wait with it. */
  crowded(patience: number): boolean {
    return this.#turns.crowded(this.#options.plan.prefetch * 0.375, patience);
  }

  /** Takes deliveries in the order they came. */
  admit(deliveries: readonly Held[], now: number): void {
    for (const held of deliveries) this.#turns.enter(held, now);
    this.pump();
  }

  /** Starts what may start. A handler that ends at once comes back as work of this loop, not as recursion. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let held = this.#turns.peek(); held !== undefined && !this.#halted; held = this.#turns.peek()) {
      // Members of a batch that runs again gather beyond the limit: the batch itself keeps it.
      if (this.#running >= this.#slots && held.cohort === null) break;
      this.#turns.take();
      if (held.state === 'ready') this.#begin(held);
      else this.#turns.release(held); // given back or lost meanwhile
    }
    this.#executor.flush();
    this.#pumping = false;
    this.#options.onChange();
  }

  /** No new handler starts, until `resume` (D9). */
  halt(): void {
    this.#halted = true;
  }

  resume(): void {
    this.#halted = false;
    this.pump();
  }

  /** The handler has ended well. */
  succeeded(held: Held): void {
    this.#exit(held);
    if (held.timeoutError !== null) this.#failed(held, held.timeoutError);
    else if (held.lost) {
      // Its effect has happened, whoever holds the message now: the copy that comes must not run (E1).
      if (this.#claims !== null) void this.#claims.done(held);
      this.#turns.release(held);
    } else {
      this.counts.handled++;
      if (this.#claims === null) this.#settle(held);
      else this.#marked(held, this.#claims);
    }
    this.pump();
  }

  /** The handler has thrown. */
  failed(held: Held, error: unknown): void {
    this.#exit(held);
    this.#failed(held, held.timeoutError ?? error);
    this.pump();
  }

  /** Neither acked nor charged: it comes again behind the one before it in its lane (F7). */
  postponed(held: Held): void {
    this.#exit(held);
    if (held.lost) this.#turns.release(held);
    else this.#turns.postpone(held);
    this.pump();
  }

  /** Whether a delivery waiting behind its key may join the batch of the one before it; if so, it is running now. */
  join(held: Held): boolean {
    if (held.state !== 'waiting' || this.#gate.check(held) !== null || this.#gate.decode(held) !== null) return false;
    this.#turns.join(held);
    this.#enter(held);
    return true;
  }

  /** Ownership of it has gone. What waits or is ready is passed over at its turn; a running one is a ghost until it ends. */
  lost(held: Held, was: HeldState): void {
    this.#withdrawn(held, was);
  }

  /** Takes an unstarted delivery out, to be given back. */
  withdraw(held: Held): void {
    const was = held.state;
    held.state = 'done';
    this.#withdrawn(held, was);
  }

  close(): void {
    this.#halted = true;
    this.#timers.clear();
  }

  #withdrawn(held: Held, was: HeldState): void {
    this.#turns.withdraw(held, was);
    if (was !== 'parked') return;
    this.#unpark(held);
    this.#turns.release(held);
  }

  #enter(held: Held): void {
    held.state = 'running';
    held.inHandler = true;
    this.#running++;
  }

  #exit(held: Held): void {
    held.inHandler = false;
    this.#running--;
    if (held.timer !== null) this.#unpark(held);
  }

  #begin(held: Held): void {
    this.#enter(held);
    if (this.#gate.forged(held)) {
      this.counts.forged++;
      this.#options.events.emit('forged-headers', { ...this.#names(), id: held.delivery.id });
    }
    const verdict = this.#gate.check(held) ?? this.#gate.decode(held);
    if (verdict instanceof Promise) void verdict.then((late) => (this.#decided(held, late), this.pump()));
    else this.#decided(held, verdict);
  }

  #decided(held: Held, verdict: Verdict): void {
    if (verdict === null) {
      if (this.#claims !== null) void this.#claimed(held, this.#claims);
      else if (this.#options.plan.atMostOnce) this.#settleFirst(held);
      else this.#run(held);
      return;
    }
    this.#exit(held);
    if (verdict.kind === 'park') this.#park(held, verdict.delay);
    else if (verdict.kind === 'give-up') this.#giveUp(held, verdict.error, verdict.code);
    else if (verdict.kind === 'expired') this.#expired(held, verdict.error);
    else {
      this.counts.filtered++;
      this.#settle(held);
    }
  }

  #run(held: Held): void {
    if (!held.attachment.owns(held)) {
      this.#exit(held);
      this.#turns.release(held);
      return;
    }
    const { timeout } = this.#options.plan;
    if (timeout !== null)
      held.timer = this.#timers.add(this.#options.clock.monotonic() + timeout, () => {
        held.timer = null;
        held.timeoutError = new WaybillError('timeout', `the handler ran longer than its timeout of ${timeout} ms`);
        held.controller?.abort(held.timeoutError);
      });
    this.#executor.run(held);
  }

  /** At-most-once (D4): settled, confirmed, and only then the handler. */
  #settleFirst(held: Held): void {
    held.onAcked = (settled) => {
      held.onAcked = null;
      held.settled = settled;
      if (settled) {
        held.state = 'running';
        this.#run(held);
      } else {
        // Nobody knows whether it is: a handler now might not be the only one.
        this.#exit(held);
        this.#turns.release(held);
      }
      this.pump();
    };
    held.attachment.ack(held);
  }

  async #claimed(held: Held, claims: Claims): Promise<void> {
    const claim = await claims.claim(held);
    if (claim.kind === 'run' && this.#options.plan.atMostOnce) {
      await claims.done(held); // before the handler, so that no copy runs, whatever becomes of this run
      this.#settleFirst(held);
      return;
    }
    if (claim.kind === 'run') {
      this.#keepClaim(held, claims);
      this.#run(held);
      this.pump();
      return;
    }
    this.#exit(held);
    if (claim.kind === 'settle') this.#settle(held);
    else if (claim.kind === 'park') this.#park(held, claim.delay);
    else this.#failed(held, claim.error);
    this.pump();
  }

  #keepClaim(held: Held, claims: Claims): void {
    this.#timers.add(this.#options.clock.monotonic() + claims.interval, () => {
      if (!held.inHandler) return;
      void claims.extend(held);
      this.#keepClaim(held, claims);
    });
  }

  #marked(held: Held, claims: Claims): void {
    held.state = 'copying';
    this.#copying++;
    void claims.done(held).then(() => {
      this.#copying--;
      this.#settle(held);
      this.pump();
    });
  }

  #settle(held: Held): void {
    if (!held.lost && !held.settled) held.attachment.ack(held);
    this.#turns.release(held);
  }

  #failed(held: Held, error: unknown): void {
    const { plan, supports, clock, random, events } = this.#options;
    if (this.#claims !== null && !plan.atMostOnce) void this.#claims.release(held);
    if (held.lost) {
      this.#turns.release(held);
      return;
    }
    this.counts.failed++;
    held.timeoutError = null;
    held.outputs = null; // of a run that failed nothing goes out (T2)
    held.controller = null;
    held.lastFailure = clock.now();
    if (held.firstFailure === 0) held.firstFailure = held.lastFailure;
    if (plan.atMostOnce) {
      this.#drop(held, 'failed');
      return;
    }
    const decision = decide(error, held.attempt, plan, supports, this.#leaseLeft(held), random);
    if (decision.kind === 'give-up') {
      this.#giveUp(held, shown(error), decision.code);
      return;
    }
    if (events.has('retry')) {
      const { id, key } = held.delivery;
      events.emit('retry', {
        ...this.#names(),
        id,
        key,
        attempt: held.attempt,
        delay: decision.delay,
        error: shown(error),
      });
    }
    held.attempt++;
    if (decision.kind === 'in-place') this.#park(held, decision.delay);
    else if (canStoreAttempt(supports, decision.delay))
      this.#copy(held, (ended) => void held.attachment.nackFailed(held, decision.delay, ended));
    else this.#copy(held, (ended) => this.#options.copies.requeue(held, decision.delay, ended));
  }

  /** How long the broker would let us hold it from now on; null without a limit. */
  #leaseLeft(held: Held): number | null {
    const { lease } = this.#options.supports;
    if (held.attachment.subscription.extend === undefined && held.leaseUntil !== null)
      return Math.max(0, held.leaseUntil - this.#options.clock.monotonic());
    return lease.max;
  }

  #expired(held: Held, error: WaybillError): void {
    this.counts.expired++;
    const { plan, events, replay } = this.#options;
    if (events.has('expired')) events.emit('expired', { ...this.#names(), id: held.delivery.id });
    if (plan.onExpired === 'dead-letter' && plan.deadLetter !== false && !replay) this.#giveUp(held, error, 'expired');
    else this.#settle(held);
  }

  /** Dead letter, confirmed, then ack (R6); or what the subscription chose instead. */
  #giveUp(held: Held, error: WaybillError, code: string): void {
    const { plan, events, copies, replay, onStop } = this.#options;
    if (held.lost) this.#turns.release(held);
    else if (plan.deadLetter !== false && !replay)
      this.#copy(
        held,
        (ended) => copies.deadLetter(held, error, code, ended),
        () => {
          this.counts.deadLettered++;
          const { id, key } = held.delivery;
          events.emit('dead-lettered', { ...this.#names(), id, key, attempts: held.attempt, code, error });
        },
      );
    else if (plan.onExhausted === 'stop' && !replay) {
      this.#halted = true;
      held.attempt++; // this run has failed, too: that counts wherever it runs next
      this.#turns.makeReady(held);
      events.emit('stopped', { ...this.#names(), id: held.delivery.id, error });
      onStop();
    } else this.#drop(held, 'exhausted');
  }

  #drop(held: Held, reason: 'exhausted' | 'failed'): void {
    this.counts.dropped++;
    this.#options.events.emit('dropped', { ...this.#names(), reason, count: this.counts.dropped });
    this.#settle(held);
  }

  /** The key is held until the copy is confirmed; then the original is settled. */
  #copy(held: Held, publish: (ended: (confirmed: boolean) => void) => void, onConfirmed?: () => void): void {
    held.state = 'copying';
    this.#copying++;
    publish((confirmed) => {
      this.#copying--;
      if (confirmed) onConfirmed?.();
      if (confirmed || held.lost) this.#settle(held);
      else this.#turns.makeReady(held);
      this.pump();
    });
  }

  #park(held: Held, delay: number): void {
    if (held.lost) {
      this.#turns.release(held);
      return;
    }
    held.state = 'parked';
    held.timer = this.#timers.add(this.#options.clock.monotonic() + delay, () => {
      held.timer = null;
      if (held.state === 'parked') this.#turns.makeReady(held);
    });
  }

  #unpark(held: Held): void {
    if (held.timer !== null) this.#timers.remove(held.timer);
    held.timer = null;
  }

  #names(): { topic: string; group: string } {
    return { topic: this.#options.plan.topic, group: this.#options.plan.group };
  }
}

/** Whether a failed delivery may go back as it is, with its attempt, instead of coming again as a copy. */
function canStoreAttempt({ settle, requeue }: Supports, delay: number): boolean {
  const { by, attempts, max } = settle.nack;
  return by === 'native' && attempts && requeue.by === 'native' && (max === null || delay <= max);
}
