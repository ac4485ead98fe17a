import type { Clock } from './clock.ts';
import type { Copies } from './copies.ts';
import type { DispatchCounts } from './dispatch-counts.ts';
import { WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import type { Held } from './held.ts';
import type { Plan } from './plan.ts';
import { decide, shown } from './retry.ts';
import type { Supports } from './supports.ts';
import type { Turns } from './turns.ts';

export interface FailuresOptions {
  readonly plan: Plan;
  readonly supports: Supports;
  readonly clock: Clock;
  readonly events: Events;
  readonly random: () => number;
  readonly copies: Copies;
  readonly replay: boolean;
  /** `onExhausted: 'stop'` has come true. */
  readonly onStop: () => void;
}

/** What the dispatcher does with a delivery that has failed. */
export interface Lanes {
  /** It holds its key, and becomes ready again after so many milliseconds. */
  park(held: Held, delay: number): void;
  settle(held: Held): void;
  /** No new handler starts. */
  halt(): void;
  /** Starts what may start. */
  pump(): void;
}

/** What becomes of a delivery that failed: retry in place with the key held, requeue, dead letter before ack (R6). */
export class Failures {
  readonly #options: FailuresOptions;
  readonly #counts: DispatchCounts;
  readonly #turns: Turns;
  readonly #lanes: Lanes;
  #copying = 0;

  constructor(options: FailuresOptions, counts: DispatchCounts, turns: Turns, lanes: Lanes) {
    this.#options = options;
    this.#counts = counts;
    this.#turns = turns;
    this.#lanes = lanes;
  }

  /** Copies under way. */
  get copying(): number {
    return this.#copying;
  }

  /** The handler, or what stands before it, has failed: again, later or elsewhere, or not at all. */
  failed(held: Held, error: unknown): void {
    const { plan, supports, clock, random, events } = this.#options;
    if (held.lost) {
      this.#turns.release(held);
      return;
    }
    this.#counts.failed++;
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
      this.giveUp(held, shown(error), decision.code);
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
    if (decision.kind === 'in-place') this.#lanes.park(held, decision.delay);
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

  expired(held: Held, error: WaybillError): void {
    this.#counts.expired++;
    const { plan, events, replay } = this.#options;
    if (events.has('expired')) events.emit('expired', { ...this.#names(), id: held.delivery.id });
    if (plan.onExpired === 'dead-letter' && plan.deadLetter !== false && !replay) this.giveUp(held, error, 'expired');
    else this.#lanes.settle(held);
  }

  /** Dead letter, confirmed, then ack (R6); or what the subscription chose instead. */
  giveUp(held: Held, error: WaybillError, code: string): void {
    const { plan, events, copies, replay, onStop } = this.#options;
    if (held.lost) this.#turns.release(held);
    else if (plan.deadLetter !== false && !replay)
      this.#copy(
        held,
        (ended) => copies.deadLetter(held, error, code, ended),
        () => {
          this.#counts.deadLettered++;
          const { id, key } = held.delivery;
          events.emit('dead-lettered', { ...this.#names(), id, key, attempts: held.attempt, code, error });
        },
      );
    else if (plan.onExhausted === 'stop' && !replay) {
      this.#lanes.halt();
      held.attempt++; // this run has failed, too: that counts wherever it runs next
      this.#turns.makeReady(held);
      events.emit('stopped', { ...this.#names(), id: held.delivery.id, error });
      onStop();
    } else this.#drop(held, 'exhausted');
  }

  #drop(held: Held, reason: 'exhausted' | 'failed'): void {
    this.#counts.dropped++;
    this.#options.events.emit('dropped', { ...this.#names(), reason, count: this.#counts.dropped });
    this.#lanes.settle(held);
  }

  /** The key is held until the copy is confirmed; then the original is settled. */
  #copy(held: Held, publish: (ended: (confirmed: boolean) => void) => void, onConfirmed?: () => void): void {
    held.state = 'copying';
    this.#copying++;
    publish((confirmed) => {
      this.#copying--;
      if (confirmed) onConfirmed?.();
      if (confirmed || held.lost) this.#lanes.settle(held);
      else this.#turns.makeReady(held);
      this.#lanes.pump();
    });
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
