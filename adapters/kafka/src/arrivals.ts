import type { Delivery } from '@waybill/core/adapter';

/** What a receive waits at most. */
const ANSWER = 900;

/** Lets a receive wait for what is fetched. */
export class Arrivals {
  #wake: (() => void) | null = null;
  #failure: { readonly error: unknown } | null = null;
  #closed = false;

  /** What `take` gives, at once or when something has come; nothing after a while, or when the signal fires. */
  async take(take: () => Delivery[], signal: AbortSignal): Promise<Delivery[]> {
    if (this.#failure !== null) throw this.#failure.error;
    const now = take();
    if (now.length > 0 || signal.aborted) return now;
    await this.#wait(signal);
    if (this.#failure !== null) throw (this.#failure as { readonly error: unknown }).error;
    return signal.aborted || this.#closed ? [] : take();
  }

  /** Something has come. */
  ring(): void {
    this.#wake?.();
  }

  /** Nothing will come any more. What waits is not handed out: it stays unsettled. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.ring();
  }

  /** Nothing is wanted any more: who waits is answered with nothing. */
  close(): void {
    this.#closed = true;
    this.ring();
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = null;
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, ANSWER);
      signal.addEventListener('abort', wake);
      this.#wake = wake;
    });
  }
}
