import { escapeText } from './escape-text.ts';
import type { Io } from './io.ts';
import { GROUPS } from './matrix.ts';

interface Target {
  readonly begun: number;
  readonly done: number;
  readonly total: number;
}

/** How far a run is. Written over itself on one line of a terminal; elsewhere nothing is written. */
export class Progress {
  readonly #io: Io;
  /** Those that run now. */
  readonly #targets = new Map<string, Target>();
  #shown = false;

  constructor(io: Io) {
    this.#io = io;
  }

  /** A target begins, or a case of it has ended. @param id The case. */
  update(name: string, done: number, total: number, id = ''): void {
    if (!this.#io.isTerminal) return;
    const now = this.#io.now().getTime();
    if (done === total) this.#targets.delete(name);
    else this.#targets.set(name, { begun: this.#targets.get(name)?.begun ?? now, done, total });
    const group = GROUPS.find(([letter]) => id.startsWith(letter))?.[1];
    const alone = this.#targets.size === 1 && group !== undefined ? `${group}, ` : '';
    const parts = [...this.#targets].map(([target, one]) => `${target}: ${alone}${one.done} of ${one.total} cases`);
    const left = [...this.#targets.values()].map((one) => ((now - one.begun) / one.done) * (one.total - one.done));
    const known = parts.length > 0 && [...this.#targets.values()].every((one) => one.done >= 3);
    this.#write(escapeText(parts.join('; ')) + (known ? `, ${etaText(Math.max(...left))}` : ''));
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
