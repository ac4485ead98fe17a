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
    return `${this.#mark}-${plain === '' ? 'x' : plain}-${this.#run}-${this.#next()}`;
  }
}
