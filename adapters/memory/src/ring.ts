const smallest = 16;

/** A list that grows at its end and shrinks at its front, addressed by ever-growing offsets. */
export class Ring<T> {
  #items: (T | undefined)[] = Array.from<T | undefined>({ length: smallest });
  /** Offset of the first item. */
  first: number;
  /** Offset that the next item will get. */
  end: number;

  constructor(first: number) {
    this.first = first;
    this.end = first;
  }

  get size(): number {
    return this.end - this.first;
  }

  /** The item at an offset from `first` to `end - 1`. */
  at(offset: number): T {
    return this.#items[offset & (this.#items.length - 1)] as T;
  }

  put(offset: number, item: T): void {
    this.#items[offset & (this.#items.length - 1)] = item;
  }

  push(item: T): void {
    if (this.end - this.first === this.#items.length) this.#resize(this.#items.length * 2);
    this.#items[this.end & (this.#items.length - 1)] = item;
    this.end++;
  }

  /** Removes the first item. */
  shift(): void {
    this.#items[this.first & (this.#items.length - 1)] = undefined;
    this.first++;
    // A quarter, so that a ring at its edge does not resize on each turn.
    if (this.#items.length > 1024 && this.size < this.#items.length >> 2) this.#resize(this.#items.length >> 1);
  }

  #resize(length: number): void {
    const items = Array.from<T | undefined>({ length });
    for (let offset = this.first; offset < this.end; offset++) items[offset & (length - 1)] = this.at(offset);
    this.#items = items;
  }
}
