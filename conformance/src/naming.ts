import { randomBytes } from 'node:crypto';

/** Six characters that begin with a letter: in the names and stamps of everything one run creates. */
export function newRun(): string {
  return `r${BigInt(`0x${randomBytes(4).toString('hex')}`)
    .toString(36)
    .padStart(5, '0')
    .slice(-5)}`;
}

/** Fresh legal names for one case: `o2-orders-r1x2y3-7`, short enough for every broker's physical names. */
export class Names {
  readonly #run: string;
  readonly #mark: string;
  readonly #next: () => number;
  readonly #given: string[] = [];

  constructor(run: string, caseId: string, next: () => number) {
    this.#run = run;
    this.#mark = (caseId.split('.')[0] ?? '').toLowerCase();
    this.#next = next;
  }

  fresh(name: string): string {
    const plain = name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '')
      .slice(0, 12);
    const fresh = `${this.#mark}-${plain === '' ? 'x' : plain}-${this.#run}-${this.#next()}`;
    this.#given.push(fresh);
    return fresh;
  }

  /** All that were given. */
  get given(): readonly string[] {
    return this.#given;
  }
}

/** Whether what has this name at the broker was made for one of these: `o2-orders-r1x2y3-7__dlq` is of `o2-orders-r1x2y3-7`. */
export function isMadeFor(name: string, given: Iterable<string>): boolean {
  return [...given].some((one) => {
    const at = name.indexOf(one);
    return at >= 0 && !/^\d/.test(name.slice(at + one.length));
  });
}
