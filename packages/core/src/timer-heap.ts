import type { Clock, Timer } from './clock.ts';

/** An item that waits in a `TimerHeap`. */
export interface TimerEntry<T> {
  /** Monotonic ms. */
  readonly due: number;
  readonly item: T;
}

interface Node<T> extends TimerEntry<T> {
  /** Breaks ties: equal deadlines end in the order they were added. */
  readonly sequence: number;
  /** Place in the heap; -1 once it is out. */
  place: number;
}

/**
 * Many deadlines behind one timer: a binary heap by due time. Adding and removing are O(log n); what is due is handed
 * out in one batch, in order of due time, never early.
 */
export class TimerHeap<T> {
  readonly #clock: Clock;
  readonly #onDue: (items: T[]) => void;
  readonly #heap: Node<T>[] = [];
  #sequence = 0;
  #timer: Timer | null = null;
  #armedFor = Infinity;

  constructor(clock: Clock, onDue: (items: T[]) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** @param due Monotonic ms; one that is past is handed out by the timer as well, never from within this call. */
  add(due: number, item: T): TimerEntry<T> {
    const node: Node<T> = { due, item, sequence: this.#sequence++, place: this.#heap.length };
    this.#heap.push(node);
    this.#up(node);
    this.#arm();
    return node;
  }

  /** False when it was handed out or removed before. */
  remove(entry: TimerEntry<T>): boolean {
    const node = entry as Node<T>;
    if (this.#heap[node.place] !== node) return false;
    this.#take(node);
    this.#arm();
    return true;
  }

  /** Removes and returns everything, the earliest first, and stops the timer. */
  clear(): T[] {
    const items: T[] = [];
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      this.#take(first);
      items.push(first.item);
    }
    this.#arm();
    return items;
  }

  /**
   * A timer for an earlier deadline than the first is left: it fires in vain once, which is cheaper than a timer set
   * again at every removal. With nothing left it is cancelled, so that it does not hold the process.
   */
  #arm(): void {
    const due = this.#heap[0]?.due ?? Infinity;
    if (due === Infinity ? this.#timer === null : due >= this.#armedFor) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#armedFor = due;
    if (due === Infinity) return;
    this.#timer = this.#clock.setTimer(() => this.#fire(), Math.max(0, due - this.#clock.monotonic()));
  }

  #fire(): void {
    this.#timer = null;
    this.#armedFor = Infinity;
    const now = this.#clock.monotonic();
    const items: T[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.due <= now; first = this.#heap[0]) {
      this.#take(first);
      items.push(first.item);
    }
    this.#arm(); // first, so that a throw from `onDue` stops nobody else's deadline
    if (items.length > 0) this.#onDue(items);
  }

  #take(node: Node<T>): void {
    const last = this.#heap.pop() as Node<T>;
    if (last !== node) {
      this.#put(last, node.place);
      this.#up(last);
      this.#down(last);
    }
    node.place = -1;
  }

  #up(node: Node<T>): void {
    while (node.place > 0) {
      const parent = this.#heap[(node.place - 1) >> 1] as Node<T>;
      if (!before(node, parent)) return;
      this.#swap(node, parent);
    }
  }

  #down(node: Node<T>): void {
    for (;;) {
      const left = this.#heap[2 * node.place + 1];
      if (left === undefined) return;
      const right = this.#heap[2 * node.place + 2];
      const child = right !== undefined && before(right, left) ? right : left;
      if (!before(child, node)) return;
      this.#swap(node, child);
    }
  }

  #swap(a: Node<T>, b: Node<T>): void {
    const place = a.place;
    this.#put(a, b.place);
    this.#put(b, place);
  }

  #put(node: Node<T>, place: number): void {
    this.#heap[place] = node;
    node.place = place;
  }
}

function before(a: Node<unknown>, b: Node<unknown>): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
