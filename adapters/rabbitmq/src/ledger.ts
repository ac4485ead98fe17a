/** Which deliveries of one channel are settled. Tags count up from 1, without a gap. */
export class Ledger {
  /** Settled ones above the mark. */
  readonly #settled = new Set<number>();
  #mark = 1;
  #last = 0;
  #open = 0;

  /** The first tag that is not settled; all below it are. */
  get mark(): number {
    return this.#mark;
  }

  /** How many have come and are not settled. */
  get open(): number {
    return this.#open;
  }

  came(tag: number): void {
    this.#last = tag;
    this.#open++;
  }

  /** False for one that was settled before, or never came. */
  settle(tag: number): boolean {
    if (tag < this.#mark || tag > this.#last || this.#settled.has(tag)) return false;
    this.#open--;
    if (tag !== this.#mark) this.#settled.add(tag);
    else
      do this.#mark++;
      while (this.#settled.delete(this.#mark));
    return true;
  }
}
