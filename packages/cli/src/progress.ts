import { escapeText } from './escape-text.ts';
import type { Io } from './io.ts';
import { GROUPS } from './matrix.ts';

/** How far a run is. Written over itself on one line of a terminal; elsewhere nothing is written. */
export class Progress {
  readonly #io: Io;
  readonly #begun: number;
  #shown = false;

  constructor(io: Io) {
    this.#io = io;
    this.#begun = io.now().getTime();
  }

  /** @param id The case that ended last. */
  update(target: string, id: string, done: number, total: number): void {
    if (!this.#io.isTerminal) return;
    const group = GROUPS.find(([letter]) => id.startsWith(letter))?.[1] ?? '';
    const elapsed = this.#io.now().getTime() - this.#begun;
    const left = done < 3 || done === total ? '' : `, ${etaText((elapsed / done) * (total - done))}`;
    this.#write(`${escapeText(target)}: ${group}, ${done} of ${total} cases${left}`);
  }

  say(text: string): void {
    if (this.#io.isTerminal) this.#write(escapeText(text));
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) this.#io.stderr('\r\u001b[K');
    this.#shown = false;
  }

  #write(text: string): void {
    this.#shown = true;
    this.#io.stderr(`\r\u001b[K${text}`);
  }
}

function etaText(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1_000));
  return seconds < 90 ? `about ${seconds} s left` : `about ${Math.round(seconds / 60)} min left`;
}
