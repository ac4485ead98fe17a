/**
 * The watermark of one partition: deliveries complete in any order, but a cumulative broker may be told only of the last
 * one below which everything is complete.
 *
 * A ring with one slot per delivery from the oldest incomplete to the newest; each call is O(1) amortised. The span is
 * bounded by whoever registers.
 */
export class Watermark<T> {
  #receipts: (T | undefined)[];
  #times: Float64Array;
  #done: Uint8Array;
  /** Sequence of the oldest incomplete delivery. A sequence's slot is its low bits. */
  #head = 0;
  #next = 0;
  #inFlight = 0;
  #passed: T | undefined = undefined;
  /** The lowest sequence that will never be complete here. */
  #gap = Number.POSITIVE_INFINITY;

  constructor() {
    const capacity = 64; // a power of two
    this.#receipts = Array.from({ length: capacity });
    this.#times = new Float64Array(capacity);
    this.#done = new Uint8Array(capacity);
  }

  /** Deliveries registered and not complete. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Deliveries from the oldest incomplete to the newest, both included; complete ones between them count. */
  get span(): number {
    return this.#next - this.#head;
  }

  /** The `now` with which the oldest incomplete delivery was registered; null when there is none. */
  get headSince(): number | null {
    return this.#head === this.#next ? null : (this.#times[this.#head & (this.#done.length - 1)] ?? null);
  }

  /** Adds a delivery, in the broker's order, received at `now` (any clock). Returns its sequence, one more each time. */
  register(receipt: T, now: number): number {
    if (this.span === this.#done.length) this.#grow();
    const sequence = this.#next++;
    const slot = sequence & (this.#done.length - 1);
    this.#receipts[slot] = receipt;
    this.#times[slot] = now;
    this.#inFlight++;
    return sequence;
  }

  /** Marks a delivery as settled. Again, or for a sequence never given out: no effect. */
  complete(sequence: number): void {
    if (!(sequence >= this.#head && sequence < this.#next)) return;
    const last = this.#done.length - 1;
    if (this.#done[sequence & last] === 1) return;
    this.#done[sequence & last] = 1;
    this.#inFlight--;
    for (; this.#head < this.#next; this.#head++) {
      const slot = this.#head & last;
      if (this.#done[slot] === 0) break;
      this.#done[slot] = 0;
      this.#passed = this.#receipts[slot];
      this.#receipts[slot] = undefined; // or it lives until the ring comes round
    }
  }

  /** Whether this delivery, and everything before it, is complete. */
  passed(sequence: number): boolean {
    return sequence < this.#head;
  }

  /** It was given back, so it will not be complete here: nothing from it on can pass any more. */
  abandon(sequence: number): void {
    this.#gap = Math.min(this.#gap, sequence);
  }

  /** Whether the watermark may still come to pass it. */
  reaches(sequence: number): boolean {
    return sequence < this.#gap;
  }

  /** The receipt of the last delivery below the watermark, once; undefined when the watermark has not moved since. */
  take(): T | undefined {
    const receipt = this.#passed;
    this.#passed = undefined;
    return receipt;
  }

  #grow(): void {
    const old = this.#done.length;
    const receipts: (T | undefined)[] = Array.from({ length: 2 * old });
    const times = new Float64Array(2 * old);
    const done = new Uint8Array(2 * old);
    for (let sequence = this.#head; sequence < this.#next; sequence++) {
      const from = sequence & (old - 1);
      const to = sequence & (2 * old - 1);
      receipts[to] = this.#receipts[from];
      times[to] = this.#times[from] ?? 0;
      done[to] = this.#done[from] ?? 0;
    }
    this.#receipts = receipts;
    this.#times = times;
    this.#done = done;
  }
}
