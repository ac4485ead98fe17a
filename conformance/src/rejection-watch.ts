import { CaseOver } from './signals.ts';

interface Caught {
  readonly wall: number;
  readonly text: string;
}

/** One listener serves all suites of the process: many may run side by side. */
const watching = new Set<Caught[]>();

function catches(reason: unknown): void {
  if (reason instanceof CaseOver) return; // a case that has ended in the middle waits for nothing any more
  const text = reason instanceof Error ? (reason.stack ?? String(reason)) : String(reason);
  for (const caught of watching) caught.push({ wall: performance.now(), text });
}

/** Catches unhandled rejections while cases run: a case that leaves one behind has failed. */
export class RejectionWatch {
  readonly #caught: Caught[] = [];

  start(): void {
    if (watching.size === 0) process.on('unhandledRejection', catches);
    watching.add(this.#caught);
  }

  stop(): void {
    watching.delete(this.#caught);
    if (watching.size === 0) process.off('unhandledRejection', catches);
  }

  /** Those since then. Cases that ran at once can't be told apart: each of them reports it. */
  since(began: number): readonly string[] {
    return this.#caught.filter((one) => one.wall >= began).map((one) => one.text);
  }
}
