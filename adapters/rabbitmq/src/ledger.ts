/** So many settled ones are kept before they are dropped together. */
const SLACK = 1_024;

/** What came through one channel and is not settled. Tags count up from 1, without a gap. */
export class Ledger<T extends object> {
  /** By tag, from `#first` on; null once settled. */
  #items: (T | null)[] = [];
  #first = 1;
  #mark = 1;
  #open = 0;

  /** The first tag that is not settled; all below it are. */
  get mark(): number {
    return this.#mark;
  }

  /** How many have come and are not settled. */
  get open(): number {
    return this.#open;
  }

  /** Those, in the order of their coming. */
  get left(): T[] {
    return this.#items.filter((item) => item !== null);
  }

  came(item: T): void {
    this.#items.push(item);
    this.#open++;
  }

  /** Null for one that is settled, or never came. */
  find(tag: number): T | null {
    return this.#items[tag - this.#first] ?? null;
  }

  /** What it was; null for one that was settled before, or never came. */
  settle(tag: number): T | null {
    const item = this.find(tag);
    if (item === null) return null;
    this.#items[tag - this.#first] = null;
    this.#open--;
    if (tag === this.#mark) {
      do this.#mark++;
      while (this.#items[this.#mark - this.#first] === null);
      if (this.#mark - this.#first >= SLACK) {
        this.#items = this.#items.slice(this.#mark - this.#first);
        this.#first = this.#mark;
      }
    }
    return item;
  }
}
