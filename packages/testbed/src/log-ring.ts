/** The last lines that a broker has printed. */
export class LogRing {
  readonly #lines: string[] = [];
  readonly #most: number;
  #rest = '';

  constructor(most = 1_000) {
    this.#most = most;
  }

  add(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-8_192); // a broker that prints no line ends must not fill the memory
    this.#lines.push(...lines);
    if (this.#lines.length > this.#most) this.#lines.splice(0, this.#lines.length - this.#most);
  }

  tail(count: number): string[] {
    const all = this.#rest === '' ? this.#lines : [...this.#lines, this.#rest];
    return count <= 0 ? [] : all.slice(-count);
  }
}
