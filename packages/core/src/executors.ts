import type { Clock, Timer } from './clock.ts';
import { type ContextShared, ManyContext, SingleContext, TransactionalContext } from './context.ts';
import type { Dispatcher, Executor } from './dispatcher.ts';
import type { Cohort, Held } from './held.ts';
import type { BatchHandler, Handler, Message } from './message.ts';

/** Runs a handler per message. */
export class SingleExecutor implements Executor {
  readonly #dispatcher: Dispatcher;
  readonly #handler: Handler<unknown>;
  readonly #shared: ContextShared;

  constructor(dispatcher: Dispatcher, handler: Handler<unknown>, shared: ContextShared) {
    this.#dispatcher = dispatcher;
    this.#handler = handler;
    this.#shared = shared;
  }

  get full(): boolean {
    return false;
  }

  run(held: Held): void {
    const { hold } = this.#shared;
    this.#dispatcher.began(held);
    let result: unknown;
    try {
      if (hold === null)
        result = this.#handler(held.message as Message<unknown>, new SingleContext(held, this.#shared));
      else {
        const context = new TransactionalContext(held, this.#shared, hold);
        result = context.end(this.#handler(held.message as Message<unknown>, context));
      }
    } catch (error) {
      this.#dispatcher.failed(held, error);
      return;
    }
    if (isThenable(result))
      result.then(
        () => this.#dispatcher.succeeded(held),
        (error: unknown) => this.#dispatcher.failed(held, error),
      );
    else this.#dispatcher.succeeded(held);
  }

  flush(): void {
    // Each runs at once, so nothing waits here.
  }
}

/**
 * Collects messages and runs a handler per batch (F7). The key-mates behind a message join its batch, in order. A batch
 * that throws runs again as it was, and from the second throw on in halves, until the culprit is alone. A throw takes a
 * message no further than its last attempt while it has company: only alone can it be given up, so a culprit never
 * takes its neighbours along.
 */
export class BatchExecutor implements Executor {
  readonly #dispatcher: Dispatcher;
  readonly #handler: BatchHandler<unknown>;
  readonly #shared: ContextShared;
  readonly #clock: Clock;
  readonly #size: number;
  readonly #linger: number;
  readonly #attempts: number;
  readonly #concurrency: () => number;
  #collected: Held[] = [];
  readonly #gathering = new Map<Cohort, Held[]>();
  #running = 0;
  #timer: Timer | null = null;

  constructor(
    dispatcher: Dispatcher,
    handler: BatchHandler<unknown>,
    shared: ContextShared,
    options: { clock: Clock; size: number; linger: number; attempts: number; concurrency: () => number },
  ) {
    this.#dispatcher = dispatcher;
    this.#handler = handler;
    this.#shared = shared;
    this.#clock = options.clock;
    this.#size = options.size;
    this.#linger = options.linger;
    this.#attempts = options.attempts;
    this.#concurrency = options.concurrency;
  }

  get full(): boolean {
    return this.#running >= this.#concurrency();
  }

  run(held: Held): void {
    if (held.cohort !== null) {
      const here = this.#gathering.get(held.cohort);
      if (here === undefined) this.#gathering.set(held.cohort, [held]);
      else here.push(held);
      return;
    }
    this.#collected.push(held);
    for (let next = held.next; next !== null && this.#collected.length < this.#size; next = next.next) {
      if (next.cohort !== null || !this.#dispatcher.join(next)) break;
      this.#collected.push(next);
    }
    if (this.#collected.length >= this.#size) this.#startCollected();
  }

  flush(): void {
    this.#startGathered();
    if (this.#collected.length === 0 || this.#timer !== null) return;
    if (this.#linger === 0 || this.#collected.length >= this.#size) this.#startCollected();
    else
      this.#timer = this.#clock.setTimer(() => {
        this.#timer = null;
        this.#startCollected();
      }, this.#linger);
  }

  #startCollected(): void {
    if (this.full) return; // the end of a batch comes back here
    this.#timer?.cancel();
    this.#timer = null;
    const batch = this.#collected.splice(0, this.#size);
    if (batch.length > 0) void this.#start(batch, null);
  }

  /** A batch that threw runs again when the last of its members has come out of its pause; lost ones are not waited for. */
  #startGathered(): void {
    for (const [cohort, here] of this.#gathering) {
      if (this.full) return;
      if (cohort.members.some((held) => held.state === 'parked' || held.state === 'ready')) continue;
      this.#gathering.delete(cohort);
      void this.#start(
        cohort.members.filter((held) => here.includes(held)),
        cohort,
      );
    }
  }

  async #start(batch: readonly Held[], cohort: Cohort | null): Promise<void> {
    this.#running++;
    const messages = new Map<Message<unknown>, Held>();
    const company = cohort ?? { members: [...batch], throws: 0 };
    for (const held of batch) {
      held.cohort = company;
      messages.set(held.message as Message<unknown>, held);
      this.#dispatcher.began(held);
    }
    const context = new ManyContext(messages, this.#shared);
    let thrown: { error: unknown } | null = null;
    try {
      await this.#handler([...messages.keys()], context);
    } catch (error) {
      thrown = { error };
    }
    context.end();
    this.#running--;
    // Whatever it returns, a handler that ran past its timeout has failed (R12).
    const late = batch.find((held) => held.timeoutError !== null)?.timeoutError ?? null;
    if (late !== null) thrown = { error: late };
    this.#finish(batch, context, thrown, cohort);
    this.flush();
  }

  #finish(
    batch: readonly Held[],
    context: ManyContext,
    thrown: { error: unknown } | null,
    cohort: Cohort | null,
  ): void {
    const heldKeys = new Set<string>();
    const throwers: Held[] = [];
    for (const held of batch) {
      held.cohort = null;
      const message = held.message as Message<unknown>;
      if (held.key !== null && heldKeys.has(held.key)) {
        this.#dispatcher.postponed(held);
      } else if (context.failures.has(message) || held.run === 'deaf') {
        if (held.key !== null) heldKeys.add(held.key);
        this.#dispatcher.failed(held, context.failures.get(message));
      } else if (thrown === null) this.#dispatcher.succeeded(held);
      else throwers.push(held);
    }
    if (thrown !== null) this.#threw(throwers, thrown.error, cohort);
  }

  #threw(throwers: readonly Held[], error: unknown, cohort: Cohort | null): void {
    const throws = (cohort?.throws ?? 0) + 1;
    if (throwers.length === 1) {
      const [culprit] = throwers as [Held];
      // It stays alone: in company again it would have everyone else's batches halved, over and over.
      if (cohort !== null) culprit.cohort = { members: [culprit], throws };
      this.#dispatcher.failed(culprit, error);
      return;
    }
    const half = throws >= 2 ? throwers.length >> 1 : throwers.length;
    const parts = [throwers.slice(0, half), throwers.slice(half)];
    // A key-mate of the first half waits behind it, uncharged, or the halves would overtake each other.
    const keys = new Set((parts[0] as Held[]).map((held) => held.key));
    const behind = (parts[1] as Held[]).filter((held) => held.key !== null && keys.has(held.key));
    parts[1] = (parts[1] as Held[]).filter((held) => !behind.includes(held));
    for (const held of behind) this.#dispatcher.postponed(held);
    for (const members of parts) {
      const next: Cohort = { members, throws };
      for (const held of members) {
        held.cohort = next;
        held.attempt = Math.min(held.attempt, this.#attempts - 1);
      }
    }
    for (const held of parts.flat()) this.#dispatcher.failed(held, error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
