import type { Clock } from './clock.ts';

/** Waits for conditions that are looked at whenever something has changed. */
export class Watch {
  readonly #clock: Clock;
  readonly #looks = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something has changed. Free while nobody waits. */
  changed(): void {
    if (this.#looks.size > 0) for (const look of this.#looks) look();
  }

  /** Resolves when it is so, or when `ms` have passed. */
  until(condition: () => boolean, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#looks.delete(look);
        timer.cancel();
        resolve();
      };
      const look = (): void => {
        if (condition()) done();
      };
      const timer = this.#clock.setTimer(done, ms);
      this.#looks.add(look);
      look();
    });
  }
}
