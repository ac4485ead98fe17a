import type { Headers, Position } from './contract.ts';
import type { PublishOptions } from './options.ts';
import type { Topic } from './topic.ts';

/** A published message as a handler sees it. */
export interface Message<T> {
  readonly id: string;
  /** When it was published, by the publisher's clock. */
  readonly time: Date;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  /** The publisher's own headers. The map has no prototype; values are strings, or bytes where they were bytes. */
  readonly headers: Headers;
  /** Decoded by the topic's codec and checked by its schema. */
  readonly payload: T;
  /** The client library's own message. */
  readonly raw: unknown;
}

/** What a publish that was confirmed returns. */
export interface Published {
  readonly id: string;
  /** Where the broker stored it, if it says. */
  readonly position?: Position;
}

/** One delivery at one handler. */
export interface HandlerContext {
  /**
   * Fires when this delivery can no longer be settled (lease lost, partition revoked, drain deadline passed), or when
   * the handler timeout has passed. Reading it costs about 2 µs, so read it only if you use it.
   */
  readonly signal: AbortSignal;
  /** 1 on the first run; counts handler runs that failed (R1). Drains and hand-overs never raise it (R3). */
  readonly attempt: number;
  /** The broker's count of arrivals, without those that this process is known to have outlived; null without a count. */
  readonly deliveryCount: number | null;
  readonly group: string;
  readonly position: Position | null;
  /** Only grows per partition, where the broker has it (O3); else null. Store it beside your writes to fence zombies. */
  readonly fence: number | null;
  /** True inside `bus.replay`. */
  readonly replay: boolean;
  /**
   * Publishes on the same bus, but refuses (`closed`) once this delivery was lost, so that a zombie can't publish (O3). In
   * a `transactional` subscription it resolves when the message is accepted, without a position: it is stored with this
   * delivery's ack, or never (T1).
   */
  publish<T, I>(topic: Topic<T, I>, payload: NoInfer<I>, options?: PublishOptions): Promise<Published>;
}

/** The context of a batch handler. */
export interface BatchContext extends Omit<HandlerContext, 'attempt' | 'deliveryCount' | 'position' | 'fence'> {
  /** The attempt of one message of the batch. */
  attemptOf(message: Message<unknown>): number;
  /** Fails this message only: it gets its own attempt, delay and dead letter; its later key-mates come behind it. */
  fail(message: Message<unknown>, error: unknown): void;
}

/** Return = ack, throw = retry by policy. */
export type Handler<T> = (message: Message<T>, context: HandlerContext) => unknown;
export type BatchHandler<T> = (messages: readonly Message<T>[], context: BatchContext) => unknown;
