/**
 * The events of a history. Times are milliseconds: `at` by a monotonic clock that is comparable within one process
 * only, `wall` since the epoch. `process` names the writer; `n` counts its events.
 */
export interface EventBase {
  readonly n: number;
  readonly process: string;
  readonly at: number;
  readonly wall: number;
}

/** A user's publish begins. Flushed before the effect. `op` joins it with its outcome. */
export interface PublishStart {
  readonly type: 'publish.start';
  readonly op: string;
  readonly bus: string;
  readonly topic: string;
  /** Empty where only the outcome tells it (`publishMany`, `offer`). */
  readonly id: string;
  readonly key: string | null;
  /** Counts per topic and key (per topic for messages without a key); null for payloads that are not stamped. */
  readonly seq: number | null;
  /** A terminator, not part of what is judged for completeness. */
  readonly sentinel: boolean;
  readonly bytes: number;
  /** Hash of the payload, and of the headers, for `content`. */
  readonly body: string;
  readonly headers: string;
  /** As given; null where core sets it. */
  readonly time: number | null;
  /** Milliseconds of `delay`, if any; wall time of `expires`, if any. */
  readonly delay: number | null;
  readonly expires: number | null;
}

export interface PublishEnd {
  readonly type: 'publish.confirmed' | 'publish.rejected' | 'publish.unknown' | 'publish.dropped';
  readonly op: string;
  /** As core says; the same as at the start where that was known. */
  readonly id: string;
  readonly code: string | null;
  /** One partition to position, where the broker says. */
  readonly position: Readonly<Record<string, string>> | null;
}

/** One call of the adapter's `publish`: what core really sent, copies included. */
export interface Send {
  readonly type: 'send';
  readonly bus: string;
  readonly kind: 'topic' | 'inbox' | 'dead-letter';
  /** The topic as the user names it, and the group that an inbox or a dead-letter topic belongs to. */
  readonly topic: string;
  readonly group: string | null;
  readonly ids: readonly string[];
  readonly sendIds: readonly string[];
  readonly outcomes: readonly string[];
  /** Monotonic time of the call; `at` is its end. */
  readonly began: number;
}

/** The adapter handed one delivery to core: it is held from now on, handler or not. */
export interface Arrive {
  readonly type: 'arrive';
  readonly arrival: number;
  /** One attachment of the consumer: a new one after each reconnect. */
  readonly attachment: number;
  readonly bus: string;
  readonly topic: string;
  readonly group: string;
  readonly consumer: string;
  /** `dead-letter`: read for a listing or a redrive, not for a handler. */
  readonly origin: 'topic' | 'inbox' | 'dead-letter';
  readonly id: string;
  readonly key: string | null;
  readonly partition: number;
  readonly position: Readonly<Record<string, string>> | null;
  readonly deliveryCount: number | null;
  readonly fence: number | null;
  readonly bytes: number;
}

/** A handler run starts with this message; a batch handler has one of these per message. Flushed before the run. */
export interface Deliver {
  readonly type: 'deliver';
  readonly delivery: number;
  /** The arrival it was made from; null where the adapter was not recorded. */
  readonly arrival: number | null;
  readonly bus: string;
  readonly topic: string;
  readonly group: string;
  /** Names this subscription within the history. */
  readonly consumer: string;
  /** Numbers the call of a batch handler that this message is part of; null for a plain handler. */
  readonly batch: number | null;
  readonly id: string;
  readonly key: string | null;
  readonly seq: number | null;
  readonly sentinel: boolean;
  /** The run the message was stamped with; null where it is not stamped. */
  readonly run: string | null;
  readonly attempt: number;
  readonly deliveryCount: number | null;
  readonly fence: number | null;
  readonly partition: string | null;
  readonly position: string | null;
  readonly body: string;
  readonly headers: string;
  readonly time: number;
  readonly replay: boolean;
}

export interface HandlerEnd {
  readonly type: 'handler.end';
  readonly delivery: number;
  /** `aborted`: it ended after its signal had fired. */
  readonly outcome: 'returned' | 'threw' | 'aborted';
}

/** A call of the adapter's `ack` or `nack`, per arrival. Cumulative acks name the watermark's arrival only. */
export interface Settle {
  readonly type: 'settle.start' | 'settle.ok' | 'settle.lost' | 'settle.fail';
  readonly arrival: number;
  readonly kind: 'ack' | 'nack';
  /** Whether it settles everything before it in its partition too. */
  readonly cumulative: boolean;
}

/** An attachment ended: what it held is no longer held. */
export interface Detached {
  readonly type: 'detached';
  readonly attachment: number;
  readonly consumer: string;
}

export interface Ownership {
  readonly type: 'revoked' | 'lost-partitions' | 'assigned';
  readonly bus: string;
  readonly topic: string;
  readonly group: string;
  readonly consumer: string;
  readonly partitions: readonly number[];
}

/** The handler's signal fired. */
export interface SignalFired {
  readonly type: 'signal';
  readonly delivery: number;
}

export interface Switched {
  readonly type: 'paused' | 'resumed' | 'closed' | 'killed';
  readonly consumer: string;
}

export interface FaultEvent {
  readonly type: 'fault.start' | 'fault.end';
  readonly fault: string;
  readonly detail: string;
}

/** Fresh consumers have read this group to its end. `complete` is false when they gave up. */
export interface Drained {
  readonly type: 'drained';
  readonly topic: string;
  readonly group: string;
  readonly complete: boolean;
  readonly reason: string;
}

/** A group whose `provision` or first `subscribe` had resolved at this time (D1). */
export interface GroupReady {
  readonly type: 'group.ready';
  readonly topic: string;
  readonly group: string;
}

/** Destinations and groups were made, or found, at the broker. */
export interface Provisioned {
  readonly type: 'provision';
  readonly kind: 'topic' | 'inbox' | 'dead-letter';
  readonly topic: string;
  readonly groups: readonly string[];
}

/** A promise that the case wants settled by its end. */
export interface Awaited {
  readonly type: 'promise.start' | 'promise.end';
  readonly op: string;
  readonly what: string;
}

/** A line for the reader of a failure. */
export interface Note {
  readonly type: 'note';
  readonly text: string;
}

export type EventBody =
  | PublishStart
  | PublishEnd
  | Send
  | Arrive
  | Deliver
  | HandlerEnd
  | Settle
  | Detached
  | Ownership
  | SignalFired
  | Switched
  | FaultEvent
  | Drained
  | GroupReady
  | Provisioned
  | Awaited
  | Note;

export type HistoryEvent = EventBase & EventBody;

type OfType<E extends EventBody, K> = E extends EventBody ? ([K & E['type']] extends [never] ? never : E) : never;
/** The event of a type, or of several. */
export type EventOf<K extends EventBody['type']> = EventBase & OfType<EventBody, K>;
