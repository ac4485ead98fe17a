import { WaybillError } from './errors.ts';
import type { Held } from './held.ts';
import type { Plan } from './plan.ts';

const BUSY_PAUSE = 200;
const STORE_PAUSE = 1_000;

export type Claim =
  | { readonly kind: 'run' }
  | { readonly kind: 'settle' }
  | { readonly kind: 'park'; readonly delay: number }
  | { readonly kind: 'fail'; readonly error: WaybillError };

/** E1: what an idempotent subscription asks its store, and what follows from the answers. */
export class Claims {
  readonly #options: NonNullable<Plan['idempotent']>;
  readonly #scope: string;
  readonly #lease: number;
  readonly #report: (error: WaybillError) => void;

  constructor(plan: Plan, report: (error: WaybillError) => void) {
    this.#options = plan.idempotent as NonNullable<Plan['idempotent']>;
    this.#scope = `${plan.topic}/${plan.group}`;
    this.#lease = Math.max(plan.lease, plan.timeout ?? 0);
    this.#report = report;
  }

  /** Half of the claim's lease: how often a running handler's claim is prolonged. */
  get interval(): number {
    return this.#lease / 2;
  }

  async claim(held: Held): Promise<Claim> {
    const { store, onStoreError } = this.#options;
    try {
      const answer = await store.claim(this.#scope, held.delivery.id, this.#lease);
      if (answer === 'busy') return { kind: 'park', delay: BUSY_PAUSE };
      return answer === 'done' ? { kind: 'settle' } : { kind: 'run' };
    } catch (cause) {
      const error = this.#failed('claim', held, cause);
      return onStoreError === 'fail' ? { kind: 'fail', error } : { kind: 'park', delay: STORE_PAUSE };
    }
  }

  async extend(held: Held): Promise<void> {
    try {
      await this.#options.store.extend?.(this.#scope, held.delivery.id, this.#lease);
    } catch (cause) {
      this.#failed('extend', held, cause);
    }
  }

  /** The effect has happened, so a store that fails here does not keep the message from being settled. */
  async done(held: Held): Promise<void> {
    try {
      await this.#options.store.done(this.#scope, held.delivery.id, this.#options.window);
    } catch (cause) {
      this.#failed('mark as done', held, cause);
    }
  }

  async release(held: Held): Promise<void> {
    try {
      await this.#options.store.release(this.#scope, held.delivery.id);
    } catch (cause) {
      this.#failed('release', held, cause); // its lease frees it
    }
  }

  #failed(what: string, held: Held, cause: unknown): WaybillError {
    const error = new WaybillError(
      'unavailable',
      `the idempotency store could not ${what} message ${held.delivery.id} of '${this.#scope}'`,
      { cause },
    );
    this.#report(error);
    return error;
  }
}
