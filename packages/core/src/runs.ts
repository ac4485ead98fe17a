import type { Clock } from './clock.ts';
import { WaybillError } from './errors.ts';
import type { Held } from './held.ts';
import type { Plan } from './plan.ts';
import type { Supports } from './supports.ts';
import type { TimerHeap } from './timer-heap.ts';

export interface RunsOptions {
  readonly plan: Plan;
  readonly supports: Supports;
  readonly clock: Clock;
  readonly timers: TimerHeap<() => void>;
  /** The message must go on without this run. */
  readonly writeOff: (held: Held) => void;
}

/**
 * How long handlers run. At its timeout one is told, and its attempt has failed (R12). One that is deaf to that keeps its
 * message until the lease ends. Mostly the broker says when; where a lease ends only with the whole consumer, whose
 * connection goes on whatever its handlers do, it is counted here, from the timeout on.
 */
export class Runs {
  readonly #options: RunsOptions;
  #live = 0;
  #deaf = 0;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Messages in handlers that may still end in time, or at least with their lease. Without a timeout nobody counts. */
  get live(): number {
    return this.#live;
  }

  /** Messages in handlers that have outrun their timeout and then lost their message, and still run. */
  get deaf(): number {
    return this.#deaf;
  }

  /** Its handler is called now. */
  began(held: Held): void {
    const { plan, clock, timers } = this.#options;
    const { timeout } = plan;
    if (timeout === null) return;
    this.#live++;
    held.run = 'live';
    held.timer = timers.add(clock.monotonic() + timeout, () => this.#timedOut(held, timeout));
  }

  /** Its handler has ended, if it was called. */
  ended(held: Held): void {
    if (held.run === 'live') this.#live--;
    else if (held.run === 'deaf') this.#deaf--;
    held.run = null;
  }

  /** Its message is lost; a handler that is late may not hear of that either. */
  lost(held: Held): void {
    if (held.run !== 'live' || held.timeoutError === null) return;
    held.run = 'deaf';
    this.#live--;
    this.#deaf++;
  }

  #timedOut(held: Held, timeout: number): void {
    const { plan, supports, clock, timers } = this.#options;
    if (held.run === null) return; // it ended in the same tick
    held.timer = null;
    held.timeoutError = new WaybillError('timeout', `the handler ran longer than its timeout of ${timeout} ms`);
    held.controller?.abort(held.timeoutError);
    if (held.lost) this.lost(held);
    else if (held.leaseUntil === null && supports.lease.by !== 'refused')
      held.timer = timers.add(clock.monotonic() + plan.lease, () => this.#leaseEnded(held));
  }

  #leaseEnded(held: Held): void {
    const { plan, clock, timers, writeOff } = this.#options;
    if (held.run === null) return;
    held.timer = null;
    this.lost(held);
    if (held.lost || held.settled) return;
    if (held.heading) writeOff(held);
    // Behind another of its key in its batch it waits for its turn, as every message does.
    else held.timer = timers.add(clock.monotonic() + plan.lease / 8, () => this.#leaseEnded(held));
  }
}
