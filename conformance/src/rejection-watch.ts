import { CaseOver } from './signals.ts';

/** Catches unhandled rejections while cases run: a case that leaves one behind has failed. */
export class RejectionWatch {
  readonly #caught: { readonly wall: number; readonly text: string }[] = [];
  readonly #listener = (reason: unknown): void => {
    if (reason instanceof CaseOver) return; // a case that has ended in the middle waits for nothing any more
    const text = reason instanceof Error ? (reason.stack ?? String(reason)) : String(reason);
    this.#caught.push({ wall: performance.now(), text });
  };

  start(): void {
    process.on('unhandledRejection', this.#listener);
  }

  stop(): void {
    process.off('unhandledRejection', this.#listener);
  }

  /** Those since then. Cases that ran at once can't be told apart: each of them reports it. */
  since(began: number): readonly string[] {
    return this.#caught.filter((one) => one.wall >= began).map((one) => one.text);
  }
}
