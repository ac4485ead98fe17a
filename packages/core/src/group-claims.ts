import { WaybillError } from './errors.ts';
import { meaningOf, type Plan } from './plan.ts';

/** The groups that run in this process. Two subscriptions of one group must mean the same: either may get any message. */
export class GroupClaims {
  readonly #claims = new Map<string, { readonly meaning: string; count: number }>();

  has(name: string): boolean {
    return this.#claims.has(name);
  }

  /** @throws WaybillError `invalid` */
  claim(name: string, plan: Plan): void {
    const meaning = meaningOf(plan);
    const known = this.#claims.get(name);
    if (known === undefined) this.#claims.set(name, { meaning, count: 1 });
    else if (known.meaning === meaning) known.count++;
    else
      throw new WaybillError(
        'invalid',
        `subscription '${name}' stands already in this process with other options, and they would take each other's messages: ${known.meaning} and ${meaning}`,
      );
  }

  release(name: string): void {
    const known = this.#claims.get(name);
    if (known !== undefined && --known.count === 0) this.#claims.delete(name);
  }
}
