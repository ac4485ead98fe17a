import type { Clock } from './clock.ts';
import type { Held, HeldState } from './held.ts';
import { Lanes } from './lanes.ts';
import { Ring } from './ring.ts';

/**
 * Whose turn it is: deliveries wait behind their key (O1, O2), then are ready, in order. One that was settled, lost or
 * given back while it waited is passed over.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #lanes = new Lanes<Held>();
  readonly #ready = new Ring<Held>();
  /** Deliveries behind held keys, and when one last moved up, per partition (O4). */
  readonly #waiting: number[] = [];
  readonly #moved: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get ready(): number {
    return this.#ready.size;
  }

  /** Deliveries queued behind their keys. */
  get waiting(): number {
    return this.#lanes.waiting;
  }

  waitingOf(partition: number): number {
    return this.#waiting[partition] ?? 0;
  }

  /** Partitions where more than `limit` wait and nothing has moved up for `patience` ms; null for none. */
  stuckPartitions(limit: number, patience: number): Set<number> | null {
    let stuck: Set<number> | null = null;
    for (let partition = 0; partition < this.#waiting.length; partition++) {
      if (this.waitingOf(partition) <= limit) continue;
      if (this.#clock.monotonic() - (this.#moved[partition] ?? 0) > patience) (stuck ??= new Set()).add(partition);
    }
    return stuck;
  }

  /** The most that wait in one partition; those where more than `limit` wait are left aside. */
  mostWaiting(limit: number): number {
    let most = 0;
    for (const waiting of this.#waiting)
      if (waiting !== undefined && waiting <= limit && waiting > most) most = waiting;
    return most;
  }

  /** Whether more than `limit` wait in a partition where one has moved up within `patience` ms. */
  crowded(limit: number, patience: number): boolean {
    const since = this.#clock.monotonic() - patience;
    return this.#waiting.some((waiting, partition) => waiting > limit && (this.#moved[partition] ?? 0) >= since);
  }

  /** Deliveries must enter in the order they came. */
  enter(held: Held, now: number): void {
    if (held.key === null || this.#lanes.enter(held)) {
      held.heading = true;
      this.makeReady(held);
      return;
    }
    held.state = 'waiting';
    const { partition } = held.delivery;
    if (this.waitingOf(partition) === 0) this.#moved[partition] = now;
    this.#wait(partition, 1);
  }

  makeReady(held: Held): void {
    held.state = 'ready';
    this.#ready.push(held);
  }

  /** The next that may run, without taking it. */
  peek(): Held | undefined {
    return this.#ready.peek();
  }

  take(): Held | undefined {
    return this.#ready.shift();
  }

  /** It goes on before its turn, in the batch of the one before it in its lane. */
  join(held: Held): void {
    this.#wait(held.delivery.partition, -1);
  }

  /** It ran, nothing came of it, and it comes again: behind the one before it in its lane, or now when it is the first. */
  postpone(held: Held): void {
    if (held.heading) {
      this.makeReady(held);
      return;
    }
    held.state = 'waiting';
    this.#wait(held.delivery.partition, 1);
  }

  /** Another run of it takes its place in its lane. */
  replace(held: Held, again: Held): void {
    this.#lanes.replace(held, again);
    again.heading = held.heading;
    held.heading = false;
  }

  /** It no longer waits; `was` is what it did until now. */
  withdraw(held: Held, was: HeldState): void {
    if (was === 'waiting') this.#wait(held.delivery.partition, -1);
  }

  /** It has ended: its lane goes on. Without effect for one that is not the first of its lane. */
  release(held: Held): void {
    if (held.key === null || !held.heading) return;
    held.heading = false;
    for (let next = this.#lanes.leave(held); next !== null; next = this.#lanes.leave(next)) {
      if (next.state === 'waiting') {
        const { partition } = next.delivery;
        this.#wait(partition, -1);
        this.#moved[partition] = this.#clock.monotonic();
        this.makeReady(next);
      } else if (!next.inHandler && !STILL_THERE.has(next.state)) continue;
      next.heading = true;
      return;
    }
  }

  #wait(partition: number, by: 1 | -1): void {
    this.#waiting[partition] = this.waitingOf(partition) + by;
  }
}

/** What a follower that ran in the batch of the one before it may still be doing; it then leads its lane. */
const STILL_THERE: ReadonlySet<HeldState> = new Set(['parked', 'copying', 'ready']);
