import { type Clock, systemClock } from './clock.ts';
import { WaybillError } from './errors.ts';

/**
 * Turns a client that pushes into a `receive` that pulls. It has no bound of its own: whoever pushes is bounded by the
 * broker's prefetch or by pausing.
 */
export class Inbox<T> {
  readonly #clock: Clock;
  #items: T[] = [];
  #receiving = false;
  /** Ends the wait of the one `receive` that waits. */
  #wake: (() => void) | null = null;
  #failure: { readonly error: unknown } | null = null;
  #closed = false;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Items pushed and not handed out. */
  get size(): number {
    return this.#items.length;
  }

  /** False after `fail` or `close`: the item was not taken, give it back if you can. */
  push(item: T): boolean {
    if (this.#failure !== null || this.#closed) return false;
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /**
   * Up to `max` items: at once if there are any, else on the first push (with all that is pushed in the same turn), else
   * none, after `waitMs` or when the signal fires. Only one call at a time. An aborted one takes nothing.
   *
   * @throws WaybillError `closed` after `close`, `invalid` while another call waits; after `fail`, that error, once the
   * items pushed before it are handed out.
   */
  receive(max: number, signal: AbortSignal, waitMs = 1_000): Promise<T[]> {
    if (this.#receiving) {
      return Promise.reject(new WaybillError('invalid', 'inbox: receive was called while another receive waits'));
    }
    if (this.#closed) return Promise.reject(new WaybillError('closed', 'inbox: receive was called after close'));
    if (signal.aborted) return Promise.resolve([]);
    if (this.#items.length > 0) return Promise.resolve(this.#take(max));
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    this.#receiving = true;
    return this.#wait(signal, waitMs).then(() => {
      this.#receiving = false;
      if (signal.aborted || this.#closed) return [];
      if (this.#items.length === 0 && this.#failure !== null) throw this.#failure.error;
      return this.#take(max);
    });
  }

  /** The source has ended. What it pushed is still handed out, then `receive` rejects with `error`. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  /** Ends it and returns what was not handed out, to be given back. Idempotent; a waiting `receive` resolves empty. */
  close(): T[] {
    this.#closed = true;
    this.#wake?.();
    return this.#take(Infinity);
  }

  /** Resolves on the first wake. Callers go on in a later microtask, when a client has pushed all of one read. */
  #wait(signal: AbortSignal, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = null;
        timer.cancel();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = this.#clock.setTimer(wake, waitMs);
      signal.addEventListener('abort', wake);
      this.#wake = wake;
    });
  }

  #take(max: number): T[] {
    if (max < this.#items.length) return this.#items.splice(0, max);
    const all = this.#items;
    this.#items = [];
    return all;
  }
}
