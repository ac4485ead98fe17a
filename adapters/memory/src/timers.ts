import type { Clock } from '@waybill/core/adapter';
import { Heap } from './heap.ts';

interface Due {
  readonly time: number;
  readonly alarm: Alarm;
}

/**
 * Every deadline of a broker on one timer. It runs only while the broker has connections: a timer would hold the
 * process, and a broker that nobody is connected to must not.
 */
export class Timers {
  readonly clock: Clock;
  readonly #heap = new Heap<Due>((a, b) => a.time < b.time);
  #timer: { cancel(): void } | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #running = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  start(): void {
    this.#running = true;
    this.#arm();
  }

  stop(): void {
    this.#running = false;
    this.#disarm();
  }

  add(due: Due): void {
    this.#heap.push(due);
    if (due.time < this.#timerAt) this.#arm();
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #arm(): void {
    const next = this.#heap.peek();
    if (!this.#running || next === undefined || next.time >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = next.time;
    this.#timer = this.clock.setTimer(() => this.#fire(), Math.max(0, next.time - this.clock.monotonic()));
  }

  #fire(): void {
    this.#disarm();
    const now = this.clock.monotonic();
    for (let next = this.#heap.peek(); next !== undefined && next.time <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      next.alarm.ring(next.time, now);
    }
    this.#arm();
  }
}

/** One owner's next deadline. Its callback looks for itself what is due, and sets the alarm again if need be. */
export class Alarm {
  readonly #timers: Timers;
  readonly #callback: (now: number) => void;
  #time = Number.POSITIVE_INFINITY;

  constructor(timers: Timers, callback: (now: number) => void) {
    this.#timers = timers;
    this.#callback = callback;
  }

  /** Rings at this time (monotonic ms), or earlier where it is set earlier already. */
  by(time: number): void {
    if (time >= this.#time) return;
    this.#time = time; // a later entry in the heap is stale from now on
    this.#timers.add({ time, alarm: this });
  }

  cancel(): void {
    this.#time = Number.POSITIVE_INFINITY;
  }

  ring(time: number, now: number): void {
    if (time !== this.#time) return;
    this.#time = Number.POSITIVE_INFINITY;
    this.#callback(now);
  }
}
