import type { Output, Position } from './contract.ts';
import { WaybillError } from './errors.ts';
import type { Held } from './held.ts';
import type { BatchContext, HandlerContext, Message, Published } from './message.ts';
import type { PublishOptions } from './options.ts';
import type { Topic } from './topic.ts';

/** How a handler publishes: the bus's own `publish`. */
export type PublishFunction = <T, I>(
  topic: Topic<T, I>,
  payload: NoInfer<I>,
  options?: PublishOptions,
) => Promise<Published>;

/** Checks a publish and makes its message, which `keep` gets; sends nothing. Resolves with the message's id. */
export type HoldFunction = <T, I>(
  topic: Topic<T, I>,
  payload: NoInfer<I>,
  options: PublishOptions | undefined,
  keep: (output: Output) => void,
) => Promise<Published>;

/** What all contexts of one subscription share. */
export interface ContextShared {
  readonly group: string;
  readonly replay: boolean;
  readonly publish: PublishFunction;
  /** Of a transactional subscription; null otherwise. */
  readonly hold: HoldFunction | null;
}

/** One delivery at one handler. Getters, so that what nobody reads costs nothing. */
export class SingleContext implements HandlerContext {
  readonly attempt: number;
  readonly #held: Held;
  readonly #shared: ContextShared;

  constructor(held: Held, shared: ContextShared) {
    this.attempt = held.attempt;
    this.#held = held;
    this.#shared = shared;
  }

  get signal(): AbortSignal {
    return this.#held.signal;
  }

  get deliveryCount(): number | null {
    return this.#held.delivery.deliveryCount;
  }

  get group(): string {
    return this.#shared.group;
  }

  get position(): Position | null {
    return this.#held.delivery.position;
  }

  get fence(): number | null {
    return this.#held.delivery.fence;
  }

  get replay(): boolean {
    return this.#shared.replay;
  }

  publish<T, I>(topic: Topic<T, I>, payload: NoInfer<I>, options?: PublishOptions): Promise<Published> {
    const held = this.#held;
    return held.attachment.owns(held) ? this.#shared.publish(topic, payload, options) : zombie(topic);
  }
}

/** One delivery at one handler of a transactional subscription: what it publishes is kept until it has returned. */
export class TransactionalContext extends SingleContext {
  readonly #held: Held;
  readonly #hold: HoldFunction;
  /** What each call of `publish` has made, in the order of the calls. */
  readonly #made: Output[][] = [];
  readonly #calls: Promise<unknown>[] = [];
  #ended = false;

  constructor(held: Held, shared: ContextShared, hold: HoldFunction) {
    super(held, shared);
    this.#held = held;
    this.#hold = hold;
  }

  override publish<T, I>(topic: Topic<T, I>, payload: NoInfer<I>, options?: PublishOptions): Promise<Published> {
    if (!this.#held.attachment.owns(this.#held)) return zombie(topic);
    if (this.#ended) return tooLate(topic);
    const made: Output[] = [];
    this.#made.push(made);
    const call = this.#hold(topic, payload, options, (output) => made.push(output));
    this.#calls.push(call.catch(() => undefined));
    return call.then((published) => published); // a promise of its own, so that nobody's rejection goes unnoticed
  }

  /** The handler has returned this: what it has published goes out with its ack. */
  async end(result: unknown): Promise<void> {
    await result;
    this.#ended = true;
    await Promise.all(this.#calls);
    const outputs = this.#made.flat();
    if (outputs.length > 0) this.#held.outputs = outputs;
  }
}

/** A batch at one handler. */
export class ManyContext implements BatchContext {
  /** Why a message failed, by message. */
  readonly failures: Map<Message<unknown>, unknown> = new Map();
  readonly #batch: ReadonlyMap<Message<unknown>, Held>;
  readonly #shared: ContextShared;
  #controller: AbortController | null = null;
  #ended = false;

  constructor(batch: ReadonlyMap<Message<unknown>, Held>, shared: ContextShared) {
    this.#batch = batch;
    this.#shared = shared;
  }

  /** Fires when any message of the batch can no longer be settled. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      const controller = new AbortController();
      this.#controller = controller;
      for (const held of this.#batch.values()) {
        const { signal } = held;
        if (signal.aborted) controller.abort(signal.reason);
        else signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
      }
    }
    return this.#controller.signal;
  }

  get group(): string {
    return this.#shared.group;
  }

  get replay(): boolean {
    return this.#shared.replay;
  }

  attemptOf(message: Message<unknown>): number {
    return this.#heldOf(message).attempt;
  }

  fail(message: Message<unknown>, error: unknown): void {
    this.#heldOf(message);
    if (this.#ended)
      throw new WaybillError(
        'closed',
        `context.fail for message ${message.id} after its batch has ended; call it before the handler returns`,
      );
    if (!this.failures.has(message)) this.failures.set(message, error);
  }

  publish<T, I>(topic: Topic<T, I>, payload: NoInfer<I>, options?: PublishOptions): Promise<Published> {
    for (const held of this.#batch.values()) if (!held.attachment.owns(held)) return zombie(topic);
    return this.#shared.publish(topic, payload, options);
  }

  /** The handler has ended: `fail` comes too late from here on. */
  end(): void {
    this.#ended = true;
  }

  #heldOf(message: Message<unknown>): Held {
    const held = this.#batch.get(message);
    if (held === undefined)
      throw new WaybillError('invalid', 'the message given to the batch context is not one of its batch');
    return held;
  }
}

function tooLate(topic: { readonly name: string }): Promise<never> {
  return Promise.reject(
    new WaybillError(
      'closed',
      `context.publish to '${topic.name}' after its handler has returned, so its transaction is closed; await what is to be published`,
    ),
  );
}

/** O3: a handler that has lost its delivery must not publish what its successor will publish again. */
function zombie(topic: { readonly name: string }): Promise<never> {
  return Promise.reject(
    new WaybillError(
      'closed',
      `context.publish to '${topic.name}': this delivery was lost, so its successor publishes, not this handler`,
    ),
  );
}
