import { Claims } from './claims.ts';
import { type DispatchCounts, noCounts } from './dispatch-counts.ts';
import { WaybillError } from './errors.ts';
import { Failures, type FailuresOptions } from './failures.ts';
import { Gate, type Verdict } from './gate.ts';
import type { Held, HeldState } from './held.ts';
import { Runs } from './runs.ts';
import { TimerHeap } from './timer-heap.ts';
import type { Topic } from './topic.ts';
import { Turns } from './turns.ts';

/** What runs handlers: one message at a time, or batches. Each run ends with `succeeded`, `failed` or `postponed`, once. */
export interface Executor {
  /** It tells by `began` when it calls the handler. */
  run(held: Held): void;
  /** Nothing more is ready just now: what waits for company may go. */
  flush(): void;
  /** It has limits of its own, and calls no handler until one has ended. */
  readonly full: boolean;
}

export interface DispatcherOptions extends FailuresOptions {
  readonly topic: Topic<unknown, unknown>;
  /** Credit or running handlers have changed. */
  readonly onChange: () => void;
}

/**
 * Decides what runs, when, and what becomes of it: lanes per key (O1, O2), bounded concurrency (F1), retry in place with
 * the key held, requeue, dead letter before ack (R6). It holds no connection: deliveries know their attachment.
 */
export class Dispatcher {
  readonly counts: DispatchCounts = noCounts();
  readonly #options: DispatcherOptions;
  readonly #gate: Gate;
  readonly #claims: Claims | null;
  readonly #timers: TimerHeap<() => void>;
  readonly #turns: Turns;
  readonly #runs: Runs;
  readonly #failures: Failures;
  #executor!: Executor;
  #slots: number;
  #running = 0;
  #marking = 0;
  #pumping = false;
  #halted = false;

  constructor(options: DispatcherOptions) {
    const { plan, topic, supports, clock, events, replay } = options;
    this.#options = options;
    this.#turns = new Turns(clock);
    this.#gate = new Gate(plan, topic, clock);
    const report = (error: WaybillError): void =>
      events.emit('error', { where: `subscription '${plan.topic}/${plan.group}'`, error });
    this.#claims = plan.idempotent === null || replay ? null : new Claims(plan, report);
    this.#failures = new Failures(options, this.counts, this.#turns, {
      park: (held, delay) => this.#park(held, delay),
      settle: (held) => this.#settle(held),
      halt: () => this.halt(),
      pump: () => this.pump(),
    });
    this.#slots = plan.concurrency * (plan.batch?.size ?? 1);
    this.#timers = new TimerHeap(clock, (due) => {
      for (const callback of due) callback();
      this.pump();
    });
    const writeOff = (held: Held): void => this.#writeOff(held);
    this.#runs = new Runs({ plan, supports, clock, timers: this.#timers, writeOff });
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
    return this.#running + this.#marking + this.#failures.copying;
  }

  get ready(): number {
    return this.#turns.ready;
  }

  /** Deliveries queued behind their keys. */
  get waiting(): number {
    return this.#turns.waiting;
  }

  /** All its handlers are deaf: whatever comes waits until one ends (R12). */
  get stuck(): boolean {
    const { live, deaf } = this.#runs;
    if (deaf === 0 || live > 0 || this.#marking + this.#failures.copying > 0 || this.#options.replay) return false;
    return deaf >= this.#slots || this.#executor.full;
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

  /** The handler is called now, with this among its messages. */
  began(held: Held): void {
    this.#runs.began(held);
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
    else {
      held.timeoutError = null;
      held.controller = null;
      this.#turns.postpone(held);
    }
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
    this.#runs.lost(held);
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
    this.#runs.ended(held);
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
    else if (verdict.kind === 'give-up') this.#failures.giveUp(held, verdict.error, verdict.code);
    else if (verdict.kind === 'expired') this.#failures.expired(held, verdict.error);
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
    this.#executor.run(held);
  }

  /** Its attempt has failed, though its handler goes on: nothing that comes of that counts any more. */
  #writeOff(held: Held): void {
    const again = held.attachment.renew(held);
    this.#turns.replace(held, again);
    const { cohort } = held;
    if (cohort !== null) {
      // From now on each is alone, and one of them is not. As after a throw, company costs nobody the last attempt.
      if (cohort.members.length > 1) again.attempt = Math.min(again.attempt, this.#options.plan.attempts - 1);
      again.cohort = { members: [again], throws: cohort.throws };
    }
    this.#failures.failed(again, held.timeoutError);
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
    this.#marking++;
    void claims.done(held).then(() => {
      this.#marking--;
      this.#settle(held);
      this.pump();
    });
  }

  #settle(held: Held): void {
    if (!held.lost && !held.settled) held.attachment.ack(held);
    this.#turns.release(held);
  }

  #failed(held: Held, error: unknown): void {
    if (this.#claims !== null && !this.#options.plan.atMostOnce) void this.#claims.release(held);
    this.#failures.failed(held, error);
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
