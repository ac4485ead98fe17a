const smallest = 1024;

/** How a table holds a place: offset and partition in one number. */
const partitions = 65_536;

/**
 * The `sendId`s of a window, each as 64 bits of hash: a table of numbers costs the garbage collector nothing, where a
 * map of strings costs it more than everything else that a publish does. Two ids of one window meet by chance once in
 * 10¹⁴ messages.
 *
 * There are two generations, of which the older one goes as a whole. So a `sendId` is known for at least one window and
 * at most two; for less only when more than `messages` are stored within one, so that memory stays bounded.
 */
export class Dedup {
  readonly #window: number;
  readonly #half: number;
  readonly #seed = Math.floor(Math.random() * 2 ** 32);
  #current = new Table(smallest);
  #previous = new Table(smallest);
  #since = Number.NEGATIVE_INFINITY;
  #high = 0;
  #low = 0;

  constructor(window: number, messages: number) {
    this.#window = window;
    this.#half = Math.max(1, Math.ceil(messages / 2));
  }

  /** Where the message sent under this id was stored; null if it was not. */
  find(sendId: string, now: number): { readonly partition: number; readonly offset: number } | null {
    if (now - this.#since >= this.#window) this.#turn(now);
    this.#hash(sendId);
    const place = this.#current.find(this.#high, this.#low) ?? this.#previous.find(this.#high, this.#low);
    return place === undefined ? null : { partition: place % partitions, offset: Math.floor(place / partitions) };
  }

  /** Remembers the id that `find` was last asked for. */
  remember(partition: number, offset: number, now: number): void {
    if (this.#current.size >= this.#half) this.#turn(now);
    this.#current.add(this.#high, this.#low, offset * partitions + partition);
  }

  #turn(now: number): void {
    // After a pause of two windows even the younger generation is over.
    const over = now - this.#since >= 2 * this.#window;
    this.#previous = over ? new Table(smallest) : this.#current;
    this.#current = new Table(over ? smallest : this.#current.slots);
    this.#since = now;
  }

  /** Two multiplicative hashes in one pass, mixed at the end (the scheme known as cyrb53, in full width). */
  #hash(text: string): void {
    let high = 0xdeadbeef ^ this.#seed;
    let low = 0x41c6ce57 ^ this.#seed;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      high = Math.imul(high ^ unit, 2654435761);
      low = Math.imul(low ^ unit, 1597334677);
    }
    high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
    low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
    this.#high = high | 1; // 0 marks a free slot
    this.#low = low | 0;
  }
}

/** Open addressing, at most half full. */
class Table {
  #keys: Int32Array;
  #places: Float64Array;
  size = 0;

  constructor(slots: number) {
    this.#keys = new Int32Array(2 * slots);
    this.#places = new Float64Array(slots);
  }

  get slots(): number {
    return this.#places.length;
  }

  find(high: number, low: number): number | undefined {
    const at = this.#slot(high, low);
    return this.#keys[2 * at] === 0 ? undefined : this.#places[at];
  }

  add(high: number, low: number, place: number): void {
    if (2 * this.size >= this.#places.length) this.#grow();
    const at = this.#slot(high, low);
    this.#keys[2 * at] = high;
    this.#keys[2 * at + 1] = low;
    this.#places[at] = place;
    this.size++;
  }

  #slot(high: number, low: number): number {
    const mask = this.#places.length - 1;
    let at = low & mask;
    while (this.#keys[2 * at] !== 0 && (this.#keys[2 * at] !== high || this.#keys[2 * at + 1] !== low))
      at = (at + 1) & mask;
    return at;
  }

  #grow(): void {
    const keys = this.#keys;
    const places = this.#places;
    this.#keys = new Int32Array(2 * keys.length);
    this.#places = new Float64Array(2 * places.length);
    this.size = 0;
    for (let at = 0; at < places.length; at++) {
      if (keys[2 * at] !== 0) this.add(keys[2 * at] as number, keys[2 * at + 1] as number, places[at] as number);
    }
  }
}
