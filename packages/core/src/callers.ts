/**
 * Calls that are given up when their callers' signals fire. However many calls wait on one signal, it has one listener:
 * from the eleventh on, Node warns of a leak.
 */
export class Callers<Call> {
  readonly #waiting = new Map<AbortSignal, Set<Call>>();
  readonly #giveUp: (call: Call) => void;

  constructor(giveUp: (call: Call) => void) {
    this.#giveUp = giveUp;
  }

  /** @param signal Not aborted yet. Returns how to stop watching. */
  watch(signal: AbortSignal, call: Call): () => void {
    let calls = this.#waiting.get(signal);
    if (calls === undefined) {
      this.#waiting.set(signal, (calls = new Set()));
      signal.addEventListener('abort', this.#aborted, { once: true });
    }
    calls.add(call);
    return () => this.#forget(signal, call);
  }

  readonly #aborted = ({ target }: Event): void => {
    const calls = this.#waiting.get(target as AbortSignal) ?? [];
    this.#waiting.delete(target as AbortSignal);
    for (const call of calls) this.#giveUp(call);
  };

  #forget(signal: AbortSignal, call: Call): void {
    const calls = this.#waiting.get(signal);
    if (calls?.delete(call) !== true || calls.size > 0) return;
    this.#waiting.delete(signal);
    signal.removeEventListener('abort', this.#aborted);
  }
}
