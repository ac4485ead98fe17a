/** Most messages remembered; then the longest known are forgotten. */
const MOST = 10_000;

/**
 * How often a message went back to its queue and this process went on: its connection was cut, its channel was closed, or
 * it was given back. The server counts those arrivals as it counts a consumer's death, but no message is to blame (R10).
 * It dies with the process, so whatever kills is judged by the server's count in the next one.
 */
export class Outlived {
  readonly #times = new Map<string, number>();

  add(queue: string, id: string): void {
    const name = nameOf(queue, id);
    const times = this.of(queue, id) + 1;
    this.#times.delete(name);
    this.#times.set(name, times); // now the last to be forgotten
    if (this.#times.size <= MOST) return;
    for (const oldest of this.#times.keys()) {
      this.#times.delete(oldest);
      return;
    }
  }

  of(queue: string, id: string): number {
    return this.#times.get(nameOf(queue, id)) ?? 0;
  }

  /** It is settled. */
  forget(queue: string, id: string): void {
    this.#times.delete(nameOf(queue, id));
  }
}

const nameOf = (queue: string, id: string): string => `${queue} ${id}`;
