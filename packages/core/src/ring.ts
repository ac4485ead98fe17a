/** A first-in first-out queue in one array that grows by doubling: no splice, no garbage per item. */
export class Ring<T> {
  #items: (T | undefined)[] = Array.from({ length: 64 });
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#size) & (this.#items.length - 1)] = item;
    this.#size++;
  }

  peek(): T | undefined {
    return this.#size === 0 ? undefined : this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined; // or it lives until the ring comes round
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#size--;
    return item;
  }

  /** Keeps the items for which `keep` is true, in order. Linear: for rare paths. */
  filter(keep: (item: T) => boolean): void {
    for (let left = this.#size; left > 0; left--) {
      const item = this.shift() as T;
      if (keep(item)) this.push(item);
    }
  }

  #grow(): void {
    const items: (T | undefined)[] = Array.from({ length: this.#items.length * 2 });
    for (let index = 0; index < this.#size; index++)
      items[index] = this.#items[(this.#head + index) & (this.#items.length - 1)];
    this.#items = items;
    this.#head = 0;
  }
}
