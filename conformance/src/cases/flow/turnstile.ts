/** Where handlers wait until the case lets them through: so many of those that are there, or everyone from now on. */
export class Turnstile {
  readonly #waiting: (() => void)[] = [];
  #open = false;

  get waiting(): number {
    return this.#waiting.length;
  }

  enter(): Promise<void> {
    if (this.#open) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Those that came first go first. */
  release(count: number): void {
    for (const go of this.#waiting.splice(0, count)) go();
  }

  open(): void {
    this.#open = true;
    this.release(this.#waiting.length);
  }
}

/** For subscriptions whose handlers wait: a case that fails half-way is not held up by them when it ends. */
export const shortDrain = { drain: '1s' } as const;
