import type { Clock } from './clock.ts';
import { WaybillError } from './errors.ts';
import type { Held } from './held.ts';
import { decode, isForged, trusted } from './intake.ts';
import type { Plan } from './plan.ts';
import type { DeadCode } from './retry.ts';
import type { Topic } from './topic.ts';

/** What ends or delays a delivery before its handler. Null: the handler may run. */
export type Verdict =
  | { readonly kind: 'filtered' }
  | { readonly kind: 'park'; readonly delay: number }
  | { readonly kind: 'expired'; readonly error: WaybillError }
  | { readonly kind: 'give-up'; readonly error: WaybillError; readonly code: DeadCode }
  | null;

const FILTERED: Verdict = Object.freeze({ kind: 'filtered' });

/** Looks at each delivery before its handler: crash loops (R10), expiry (D10), filter (D11), not-before, poison (R8). */
export class Gate {
  readonly #plan: Plan;
  readonly #topic: Topic<unknown, unknown>;
  readonly #clock: Clock;

  constructor(plan: Plan, topic: Topic<unknown, unknown>, clock: Clock) {
    this.#plan = plan;
    this.#topic = topic;
    this.#clock = clock;
  }

  /** Whether a stranger's control headers are left out of this delivery. */
  forged(held: Held): boolean {
    return held.delivery.control !== null && isForged(held.delivery);
  }

  check(held: Held): Verdict {
    const { delivery } = held;
    const { maxDeliveries, matches } = this.#plan;
    const count = delivery.deliveryCount;
    if (count !== null && count > maxDeliveries && held.firstOfKey) {
      const error = new WaybillError(
        'unclassified',
        `message ${delivery.id} arrived ${count} times and was never settled; allowed: ${maxDeliveries}`,
      );
      return { kind: 'give-up', error, code: 'max-deliveries' };
    }
    if (delivery.control === null && matches === null) return null;
    const control = trusted(delivery);
    if (control?.expires !== undefined && control.expires <= this.#clock.now())
      return {
        kind: 'expired',
        error: new WaybillError('expired', `message ${delivery.id} expired before it was handled`),
      };
    if (matches !== null && !matches(delivery.type, (name) => textOf(delivery.headers[name]))) return FILTERED;
    const wait = control?.notBefore === undefined ? 0 : control.notBefore - this.#clock.now();
    return wait > 0 ? { kind: 'park', delay: wait } : null;
  }

  /** Makes `held.message`, or says why it is poison. A promise only where the schema needs one. */
  decode(held: Held): Verdict | Promise<Verdict> {
    const poison = decode(held, this.#topic);
    return poison instanceof Promise ? poison.then(asVerdict) : asVerdict(poison);
  }
}

function asVerdict(poison: WaybillError | null): Verdict {
  return poison === null ? null : { kind: 'give-up', error: poison, code: 'poison' };
}

function textOf(value: string | Uint8Array | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
