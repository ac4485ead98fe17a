import type { Delivery } from '@waybill/core/adapter';
import { MemoryDelivery, Receipt } from './delivery.ts';
import { Heap } from './heap.ts';
import type { Entry, Log } from './log.ts';
import { Ring } from './ring.ts';
import type { MemorySubscription } from './subscription.ts';
import { Alarm, type Timers } from './timers.ts';

/**
 * One group's place in one log. Every message from `floor` to `next` has a slot: the receipt of its latest delivery,
 * which is held by a consumer, ready to be delivered again, or waiting for a time; null once it is settled.
 */
export class Cursor {
  readonly log: Log;
  readonly origin: 'topic' | 'inbox';
  /** Whether messages of one key must not overtake each other. */
  readonly #ordered: boolean;
  readonly #slots: Ring<Receipt | null>;
  readonly #ready = new Heap<Receipt>((a, b) => a.offset < b.offset);
  readonly #waiting = new Heap<Receipt>((a, b) => a.until < b.until || (a.until === b.until && a.offset < b.offset));
  readonly #alarm: Alarm;
  /** Ordered only: the lowest waiting slot of each key that has one. */
  readonly #onHold = new Map<string, Receipt>();
  /** Settled slots above the floor. */
  #settledAbove = 0;
  /** The number of the present ownership, where there are owners. */
  fence = 0;

  constructor(
    log: Log,
    start: number,
    options: { origin: 'topic' | 'inbox'; ordered: boolean; timers: Timers; wake: () => void },
  ) {
    this.log = log;
    this.origin = options.origin;
    this.#ordered = options.ordered;
    this.#slots = new Ring(start);
    this.#alarm = new Alarm(options.timers, options.wake);
    log.cursors.push(this);
  }

  /** Everything below is settled. */
  get floor(): number {
    return this.#slots.first;
  }

  /** What was never handed out begins here. */
  get next(): number {
    return this.#slots.end;
  }

  /** Messages that are not settled. */
  get unsettled(): number {
    return this.log.entries.end - this.floor - this.#settledAbove;
  }

  isSettled(offset: number): boolean {
    return offset < this.floor || (offset < this.next && this.#slots.at(offset) === null);
  }

  /** Whether everything before `end` was handed out and has not come back. */
  exhausted(end: number): boolean {
    if (this.next < Math.min(end, this.log.entries.end)) return false;
    const before = (heap: Heap<Receipt>): boolean => [...heap.values()].some((slot) => slot.offset < end);
    return !before(this.#ready) && !before(this.#waiting);
  }

  /** Hands out up to `room` messages from before `end`: those that came back first, in order. */
  take(to: MemorySubscription, out: Delivery[], room: number, now: number, end: number): void {
    this.#promote(now);
    while (room > 0) {
      const slot = this.#ready.peek();
      if (slot === undefined || slot.offset >= end) break;
      this.#ready.pop();
      if (slot.state !== 'ready') continue;
      if (this.#mustWait(slot)) continue;
      out.push(this.#deliver(to, slot.offset, slot.entry, slot.count + 1, slot.attempt, now));
      room--;
    }
    const last = Math.min(end, this.log.entries.end);
    for (let offset = this.next; room > 0 && offset < last; offset++) {
      const entry = this.log.entries.at(offset);
      this.#slots.push(null);
      if (entry.due > now || this.#onHold.size > 0) {
        const slot = new Receipt(this, offset, entry, 0, null);
        this.#slots.put(offset, slot);
        if (entry.due > now) this.#wait(slot, entry.due);
        if (slot.state === 'waiting' || this.#mustWait(slot)) continue;
      }
      out.push(this.#deliver(to, offset, entry, 1, null, now));
      room--;
    }
  }

  /** Ends a slot, by the receipt that it has now. */
  settle(receipt: Receipt): void {
    this.#drop(receipt, 'settled');
    this.#slots.put(receipt.offset, null);
    this.#settledAbove++;
    if (receipt.offset === this.floor) this.#rise();
  }

  /** Settles everything up to a held receipt, where settlement is cumulative. */
  settleUpTo(receipt: Receipt): void {
    for (let offset = this.floor; offset <= receipt.offset; offset++) {
      const slot = this.#slots.at(offset);
      if (slot !== null) this.settle(slot);
    }
  }

  /** Gives back, at once or not before a time. */
  release(receipt: Receipt, until: number, attempt: number | null): void {
    receipt.unlink();
    receipt.state = 'lost'; // a late ack must settle nothing, so the slot goes on under a receipt of its own
    const slot = new Receipt(this, receipt.offset, receipt.entry, receipt.count, attempt ?? receipt.attempt);
    this.#slots.put(slot.offset, slot);
    if (until > 0) this.#wait(slot, until);
    else this.#ready.push(slot);
  }

  /** A later message of this key that the same consumer holds: it comes again behind this one. */
  releaseFollowers(receipt: Receipt): void {
    if (!this.#ordered) return;
    for (let offset = Math.max(this.floor, receipt.offset + 1); offset < this.next; offset++) {
      const slot = this.#slots.at(offset);
      if (slot?.state === 'held' && slot.entry.key === receipt.entry.key) this.release(slot, 0, null);
    }
  }

  /** Gives back all that is held, because its owner is gone. */
  releaseAll(): void {
    for (let offset = this.floor; offset < this.next; offset++) {
      const slot = this.#slots.at(offset);
      if (slot?.state === 'held') this.release(slot, 0, null);
    }
  }

  /** Forgets every slot and goes on from `offset`; outstanding receipts are worth nothing from now on. */
  move(offset: number): void {
    while (this.#slots.size > 0) {
      const slot = this.#slots.at(this.floor);
      if (slot !== null) this.#drop(slot, 'lost');
      this.#slots.shift();
    }
    this.#ready.clear();
    this.#waiting.clear();
    this.#onHold.clear();
    this.#settledAbove = 0;
    this.#slots.first = offset;
    this.#slots.end = offset;
  }

  /** The log no longer holds anything below `first`. */
  skipTo(first: number): void {
    if (this.next <= first) this.move(first);
    while (this.floor < first) {
      const slot = this.#slots.at(this.floor);
      if (slot === null) this.#settledAbove--;
      else this.#drop(slot, 'lost');
      this.#slots.shift();
    }
    this.#rise();
  }

  #deliver(
    to: MemorySubscription,
    offset: number,
    entry: Entry,
    count: number,
    attempt: number | null,
    now: number,
  ): Delivery {
    const receipt = new Receipt(this, offset, entry, count, attempt);
    receipt.state = 'held';
    to.hold(receipt, now);
    this.#slots.put(offset, receipt);
    return new MemoryDelivery(receipt, to.shows);
  }

  #rise(): void {
    while (this.#slots.size > 0 && this.#slots.at(this.floor) === null) {
      this.#slots.shift();
      this.#settledAbove--;
    }
  }

  #drop(slot: Receipt, state: 'settled' | 'lost'): void {
    slot.unlink();
    const was = slot.state;
    slot.state = state; // its place in a heap is void with that
    if (was === 'waiting') this.#unhold(slot);
  }

  /** Ordered: a message waits as long as an earlier one of its key does. */
  #mustWait(slot: Receipt): boolean {
    const first = slot.entry.key === null ? undefined : this.#onHold.get(slot.entry.key);
    if (first === undefined || first.offset >= slot.offset) return false;
    this.#wait(slot, first.until);
    return true;
  }

  #wait(slot: Receipt, until: number): void {
    slot.state = 'waiting';
    slot.until = until;
    this.#waiting.push(slot);
    this.#alarm.by(until);
    const { key } = slot.entry;
    if (!this.#ordered || key === null) return;
    const first = this.#onHold.get(key);
    if (first === undefined || first.offset > slot.offset) this.#onHold.set(key, slot);
  }

  #promote(now: number): void {
    for (let slot = this.#waiting.peek(); slot !== undefined; slot = this.#waiting.peek()) {
      if (slot.state === 'waiting' && slot.until > now) {
        this.#alarm.by(slot.until);
        return;
      }
      this.#waiting.pop();
      if (slot.state !== 'waiting') continue;
      slot.state = 'ready';
      this.#ready.push(slot);
      this.#unhold(slot);
    }
  }

  /** The slot waits no more: the next waiting one of its key, if any, is what holds the key now. */
  #unhold(slot: Receipt): void {
    const { key } = slot.entry;
    if (key === null || this.#onHold.get(key) !== slot) return;
    this.#onHold.delete(key);
    let next: Receipt | null = null;
    for (const other of this.#waiting.values()) {
      if (other.state !== 'waiting' || other.entry.key !== key) continue;
      if (next === null || other.offset < next.offset) next = other;
    }
    if (next !== null) this.#onHold.set(key, next);
  }
}
