import type { Attachment } from './attachment.ts';
import type { Clock, Timer } from './clock.ts';
import type { Delivery } from './contract.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Plan } from './plan.ts';

export interface BudgetOptions {
  readonly plan: Plan;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  /** Replay: most messages per second. */
  readonly rate: number | null;
  /** There is credit again. */
  readonly onCredit: () => void;
}

/** How much a subscription may ask for: by count, bytes and rate, and one at a time after a suspicious delivery (R10). */
export class Budget {
  readonly #options: BudgetOptions;
  #cautious = false;
  #received = 0;
  #since: number;
  #timer: Timer | null = null;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#since = options.clock.monotonic();
  }

  /**
   * How many more may be asked for; none while what is ready would keep the handlers busy anyway.
   *
   * @param coming Deliveries that are held, and that the dispatcher has not seen yet.
   */
  credit(attachment: Attachment, coming = 0): number {
    const { plan, dispatcher, rate } = this.#options;
    // A poll under way is part of what the next call asks for, so what it reserves is not taken off again.
    const held = attachment.held.size;
    if (this.#cautious) return held === 0 ? 1 : 0;
    if (attachment.bytes >= plan.prefetchBytes) return 0;
    const credit = plan.prefetch - held;
    const slots = plan.concurrency * (plan.batch?.size ?? 1);
    if (dispatcher.ready >= slots && credit < plan.prefetch / 2) return 0;
    // One receive must not fill the prefetch with messages behind one key: half of it is for other partitions (O4).
    const wanted = plan.ordered ? Math.min(credit, dispatcher.room - coming) : credit;
    return rate === null ? wanted : Math.min(wanted, this.#allowed(rate));
  }

  /** Counts what came. True: one of them may be killing the process, so all must go back and come again one by one. */
  suspects(attachment: Attachment, deliveries: readonly Delivery[]): boolean {
    this.#received += deliveries.length;
    const half = this.#options.plan.maxDeliveries / 2;
    this.#cautious = deliveries.some(({ deliveryCount }) => deliveryCount !== null && deliveryCount > half);
    return this.#cautious && (deliveries.length > 1 || attachment.held.size > 0);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #allowed(rate: number): number {
    const { clock, onCredit } = this.#options;
    const allowed = Math.floor(((clock.monotonic() - this.#since) / 1_000) * rate) + 1 - this.#received;
    if (allowed > 0) return allowed;
    this.#timer ??= clock.setTimer(
      () => {
        this.#timer = null;
        onCredit();
      },
      Math.min(1_000, 1_000 / rate),
    );
    return 0;
  }
}
