import type { Clock, Timer } from '../src/clock.ts';

interface FakeTimer extends Timer {
  readonly due: number;
  readonly callback: () => void;
}

/** Time that passes only when told to. */
export class FakeClock implements Clock {
  #wall: number;
  #monotonic = 0;
  readonly #timers = new Set<FakeTimer>();

  constructor(wall = 1_700_000_000_000) {
    this.#wall = wall;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  setTimer(callback: () => void, ms: number): Timer {
    const timer: FakeTimer = {
      due: this.#monotonic + Math.max(0, ms),
      callback,
      cancel: () => void this.#timers.delete(timer),
    };
    this.#timers.add(timer);
    return timer;
  }

  /** Timers set and neither fired nor cancelled: 0 after everything is closed. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Lets `ms` pass: fires what becomes due, in order, and after each lets everything run that can run without more time.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await settled();
    for (;;) {
      const timer = this.#earliest();
      if (timer === undefined || timer.due > end) break;
      this.#move(Math.max(timer.due, this.#monotonic));
      this.#timers.delete(timer);
      timer.callback();
      await settled();
    }
    this.#move(end);
    await settled();
  }

  /** Sets the wall clock forward or, with a negative number, back; the monotonic one does not notice. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  /** Lets `ms` pass as a process that was stopped sees it: when it wakes up, no timer has fired yet. */
  sleep(ms: number): void {
    this.#move(this.#monotonic + ms);
  }

  #earliest(): FakeTimer | undefined {
    let earliest: FakeTimer | undefined;
    for (const timer of this.#timers) if (earliest === undefined || timer.due < earliest.due) earliest = timer;
    return earliest;
  }

  #move(to: number): void {
    this.#wall += to - this.#monotonic;
    this.#monotonic = to;
  }
}

/** A turn of the event loop: every promise that can settle has settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
