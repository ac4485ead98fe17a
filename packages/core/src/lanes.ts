/** What a lane holds: a delivery, which is itself the link to the one behind it. */
export interface LaneItem<Item> {
  /** The ordering key; null for one that waits for nobody. */
  readonly key: string | null;
  /** Written by `Lanes` alone; null at first. */
  next: Item | null;
}

/**
 * Lets one item of each key run at a time, in the order they entered (O1, O2). A lane is an entry key → last item, and
 * the items' own links: no object, array or promise per key, and nothing is left of a key that has no items.
 */
export class Lanes<Item extends LaneItem<Item>> {
  readonly #last = new Map<string, Item>();
  #waiting = 0;

  /** Keys that are held. */
  get size(): number {
    return this.#last.size;
  }

  /** Items queued behind a held key. */
  get waiting(): number {
    return this.#waiting;
  }

  /** True: it may run now. False: it is queued behind its key, and a `leave` will return it. */
  enter(item: Item): boolean {
    if (item.key === null) return true;
    const last = this.#last.get(item.key);
    this.#last.set(item.key, item);
    if (last === undefined) return true;
    last.next = item;
    this.#waiting++;
    return false;
  }

  /** Another takes the place of the running one of its key. */
  replace(item: Item, by: Item): void {
    if (item.key === null) return;
    by.next = item.next;
    item.next = null;
    if (this.#last.get(item.key) === item) this.#last.set(item.key, by);
  }

  /**
   * The item has ended; it must be the running one of its key. Returns the item of that key that may run now, or null.
   * A second `leave` of the same item has no effect.
   */
  leave(item: Item): Item | null {
    const { key, next } = item;
    if (key === null) return null;
    if (next === null) {
      if (this.#last.get(key) === item) this.#last.delete(key);
      return null;
    }
    item.next = null; // or a settled delivery in old space keeps all behind it alive
    this.#waiting--;
    return next;
  }
}
