import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { UntilOptions } from './case-types.ts';
import { CaseOver, CaseSignal, LateSignal } from './signals.ts';

/** WAYBILL_TIME_FACTOR: how much slower than a developer's machine this one may be. */
export function timeFactor(env: NodeJS.ProcessEnv = process.env): number {
  const text = env['WAYBILL_TIME_FACTOR'];
  if (text === undefined || text === '') return 1;
  const factor = Number(text);
  if (!(factor >= 0.1 && factor <= 100)) throw new RangeError(`WAYBILL_TIME_FACTOR is '${text}'; allowed: 0.1 to 100`);
  return factor;
}

const total = 30_000;
/** Between two looks at a condition, growing. */
const pauses = { first: 1, most: 20 };

/** Every wait of a case. A deadline that passes asks whether the broker is alive before it says `failed`. */
export class Waiting {
  readonly #progress: () => number;
  readonly #factor: number;
  readonly #patience: number;
  readonly #pace: number;
  readonly #signal: AbortSignal;
  readonly #healthy: () => Promise<boolean>;

  /** @param progress Grows with the history. @param scale `factor` of bounds under test, `patience` and `pace` of deadlines. */
  constructor(
    progress: () => number,
    scale: { readonly factor: number; readonly patience: number; readonly pace: number },
    signal: AbortSignal,
    healthy: () => Promise<boolean>,
  ) {
    this.#progress = progress;
    this.#factor = scale.factor;
    this.#patience = scale.patience;
    this.#pace = scale.pace;
    this.#signal = signal;
    setMaxListeners(0, signal); // a case may wait in many handlers at once
    this.#healthy = healthy;
  }

  /** The case has ended. */
  get over(): boolean {
    return this.#signal.aborted;
  }

  /** A bound under test. */
  scaled(ms: number): number {
    return ms * this.#factor;
  }

  /** What must outlast the broker's answers. */
  paced(ms: number): number {
    return ms * this.#factor * this.#pace;
  }

  #deadline(ms: number): number {
    return ms * this.#patience * this.#pace;
  }

  async until(condition: () => unknown, what: string, options: UntilOptions = {}): Promise<void> {
    const late = await this.reached(condition, options);
    if (late !== null) await this.#late(`${what}: ${late}`);
  }

  /** Null when the condition came true; else what ran out. */
  async reached(condition: () => unknown, options: UntilOptions = {}): Promise<string | null> {
    const began = performance.now();
    const most = this.#deadline(options.total ?? total);
    const idle = this.#deadline(options.idle ?? options.total ?? total);
    let length = this.#progress();
    let grew = began;
    for (let pause = pauses.first; ; pause = Math.min(pause * 2, pauses.most)) {
      if (await condition()) return null;
      const now = performance.now();
      const next = this.#progress();
      if (next !== length) grew = now;
      length = next;
      if (now - began >= most) return `not within ${(most / 1000).toFixed(1)} s`;
      if (now - grew >= idle) return `nothing has happened for ${(idle / 1000).toFixed(1)} s`;
      await this.#sleep(pause);
    }
  }

  async within<T>(promise: Promise<T>, what: string, ms: number = total): Promise<T> {
    const most = this.#deadline(ms);
    const stop = new AbortController();
    const late = sleep(most, 'late' as const, { signal: AbortSignal.any([stop.signal, this.#signal]) });
    try {
      const first = await Promise.race([promise.then((value) => ({ value })), late]);
      if (first !== 'late') return first.value;
    } finally {
      stop.abort();
      late.catch(() => undefined);
    }
    return this.#late(`${what}: not within ${(most / 1000).toFixed(1)} s`);
  }

  /** The highest value seen until it stood still for max(500 ms, 3 × its longest pause between changes). */
  async settled(read: () => number, what: string): Promise<number> {
    const began = performance.now();
    let value = read();
    let highest = value;
    let changed = began;
    let longest = 0;
    for (;;) {
      await this.#sleep(5);
      const now = performance.now();
      const next = read();
      if (next !== value) {
        longest = Math.max(longest, now - changed);
        changed = now;
        value = next;
        highest = Math.max(highest, next);
      }
      if (now - changed >= Math.max(500 * this.#patience, 3 * longest)) return highest;
      if (now - began >= this.#deadline(total)) await this.#late(`${what} did not come to rest`);
    }
  }

  async straggle(ms: number = 1_000): Promise<void> {
    await this.#sleep(ms * this.#patience);
  }

  async pass(ms: number): Promise<void> {
    await this.#sleep(ms);
  }

  async #sleep(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.#signal });
    } catch {
      throw new CaseOver();
    }
  }

  async #late(what: string): Promise<never> {
    if (!(await this.#healthy())) throw new CaseSignal('inconclusive', `${what}; the broker does not answer`);
    throw new LateSignal(what);
  }
}
