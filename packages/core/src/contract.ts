import type { ErrorCode } from './errors.ts';
import type { Filter } from './filter.ts';
import type { Supports } from './supports.ts';

/*
 * The adapter contract. It is for people who write an adapter; users of Waybill never see it.
 *
 * An adapter translates between core and one client library, and does nothing else. Every semantic (retry, order,
 * dead letters, leases, backpressure, reconnecting) lives in core, once. Four rules hold for every method:
 *
 * - Throw raw client errors. `classify` says which code they have; core wraps them, once.
 * - Never retry, except where the client repeats the same idempotent request.
 * - An aborted signal means: return soon. What may have happened meanwhile is reported, not guessed.
 * - Arguments belong to core: read them, don't keep or change them after the call has ended, bodies of published
 *   messages included. What `receive` returns belongs to core: don't touch it again.
 */

/** A header's value. Names are unique within a message; maps have no prototype. */
export type HeaderValue = string | Uint8Array;
export type Headers = Readonly<Record<string, HeaderValue>>;

/** A broker's own place of a message: partition (as text) to an opaque position. A delivery's has one entry. */
export type Position = Readonly<Record<string, string>>;

/** Where messages are sent. `name` is the joined name of design section "Names", unique among all kinds. */
export interface Destination {
  readonly kind: 'topic' | 'inbox' | 'dead-letter';
  /** `orders`, `orders__inventory__retry`, `orders__inventory__dlq`; with the prefix, if any, in front. */
  readonly name: string;
  /** The topic's joined name, with prefix: `orders`. */
  readonly topic: string;
  /** The group an inbox or a dead-letter topic belongs to; null for a topic. */
  readonly group: string | null;
  /** Partition count of an ordered topic and its inboxes where `order.key.partitions` is `counted`; else null. */
  readonly partitions: number | null;
  /** Whether messages have an ordering key to be kept in order. */
  readonly ordered: boolean;
  /** The existing broker object to use instead of one named by us. */
  readonly address: string | null;
}

/**
 * Waybill's own headers, beside those that have a field of their own in a message. Core writes them and core trusts
 * them only where core alone writes (`attempt`, `notBefore` and `group` from an inbox, `dead` from a dead-letter
 * topic). An adapter carries all of them, wherever they are.
 */
export interface Control {
  readonly expires?: number;
  readonly notBefore?: number;
  readonly attempt?: number;
  readonly group?: string;
  /** `waybill-dead-*`, without that prefix: topic, group, attempts, first, last, error, message, code, position. */
  readonly dead?: Readonly<Record<string, string>>;
  /** On receipt only: the control header that is out of bound, which makes the message poison (R8). */
  readonly malformed?: string;
}

/** What one message carries, on its way out and on its way in. */
export interface Envelope {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly contentType: string | null;
  /** The user's headers only. */
  readonly headers: Headers;
  readonly control: Control | null;
  readonly body: Uint8Array;
}

export interface OutgoingMessage extends Envelope {
  /** The same for every repeat of one send, different for every send that must arrive. Broker dedup uses only this. */
  readonly sendId: string;
  /** murmur2(key) mod n where the destination has a partition count and the message a key; else null. */
  readonly partition: number | null;
  /** Milliseconds that the broker must hold it back, measured from the call; 0 for none. */
  readonly delay: number;
}

/**
 * What became of one message of a `publish` call.
 *
 * - `confirmed`: the broker has stored it, as `publish.durability` declares, in every group's place.
 * - `rejected`: it is stored nowhere. Core sends it again when the error's code is retriable.
 * - `unknown`: it may be stored, wholly or in part. Core sends it again under the same `sendId`.
 * - `skipped`: not sent, because an earlier message of its key in the same call was not confirmed. Messages of one key
 *   must be stored in the order of the call, so nothing may overtake. Core sends it again behind that message.
 */
export type SendOutcome =
  | { readonly status: 'confirmed'; readonly position: Position | null }
  | { readonly status: 'rejected' | 'unknown'; readonly error: unknown }
  | { readonly status: 'skipped' };

/** One message on its way out, and where to. */
export interface Output {
  readonly destination: Destination;
  readonly message: OutgoingMessage;
}

/** Opaque to core. It settles one delivery, or, where settlement is cumulative, all up to it in its partition. */
export type Receipt = unknown;

export interface Delivery extends Envelope {
  readonly receipt: Receipt;
  /** Where it was read: the topic itself, or the group's inbox. */
  readonly origin: 'topic' | 'inbox';
  /** The unit of order and assignment it came from; 0 where the broker has none. */
  readonly partition: number;
  readonly position: Position | null;
  /**
   * The broker's count of arrivals, 1 on the first; null where `settle.deliveryCount` is refused. An adapter may leave out
   * those that ended unsettled while this process went on (a lost connection, a give-back): no message is to blame (R10).
   */
  readonly deliveryCount: number | null;
  /** What it was published under, where there is no position and the adapter carries it: it tells copies of copies apart. */
  readonly sendId?: string;
  /** The attempt stored by a `nack` with `failed: true`; null otherwise. */
  readonly storedAttempt: number | null;
  /**
   * Monotonic milliseconds (core's clock) at which the lease ends; null where it ends only by revocation. Then core itself
   * takes the message from a handler that is deaf to its timeout for a lease, unless `lease` is refused.
   */
  readonly leaseUntil: number | null;
  readonly fence: number | null;
  /** The client's own message, for `message.raw`. */
  readonly raw: unknown;
}

export type StartPosition =
  | 'held'
  | 'earliest'
  | 'latest'
  | { readonly time: number }
  | { readonly position: Position };

export interface SubscriptionSpec {
  readonly destination: Destination;
  readonly group: string;
  /** The existing group to attach to instead of one named by us. */
  readonly groupAddress: string | null;
  /** The group's inbox, read together with the topic, by the same owner, partition by partition. Null for a replay. */
  readonly inbox: Destination | null;
  /** A stable name of this consumer, unique among the group's live ones. */
  readonly consumer: string;
  /** Most deliveries that core will ever hold at once. */
  readonly prefetch: number;
  /**
   * From this delivery count on a message may be what kills its consumers: the adapter fetches it apart from others where it
   * can, so that they are not counted with it (R10). Absent where no count is judged.
   */
  readonly suspect?: number;
  /** Milliseconds of lease to ask for. */
  readonly lease: number;
  /** Where a *new* group starts. A group that exists goes on where it was. */
  readonly start: StartPosition;
  /** For a replay: hand out nothing behind what is stored when `subscribe` resolves, then report `ended`. */
  readonly bounded: boolean;
  /** Pushed down where `deliver.filter` is native. Core applies it again in any case. */
  readonly filter: Filter | null;
  /** Core will call `transact`. Never true where `transactions` is refused. */
  readonly transactional: boolean;
  /**
   * Ownership of these partitions is about to go. Core stops their lanes, waits for running handlers up to its drain
   * deadline, and acks what it can; then it resolves, and the adapter lets them go.
   */
  readonly onRevoked: (partitions: readonly number[]) => Promise<void>;
  /** Ownership of these partitions is gone already. Core fires their signals and sends nothing for them any more. */
  readonly onLost: (partitions: readonly number[]) => void;
  /** These partitions are ours now. */
  readonly onAssigned: (partitions: readonly number[]) => void;
}

/**
 * One attachment of one consumer. It has one life: after `receive` has rejected it is closed and another is opened.
 * `receive` is never called twice at once; every other method may run at any time, `receive` waiting or not.
 */
export interface AdapterSubscription {
  /**
   * Deliveries that a poll under way may still bring, plus those it brought and `receive` has not returned yet. The next
   * `receive` joins that poll: its `max` covers what is reserved, so together they never exceed it.
   */
  readonly reserved: number;
  /** For a bounded subscription: everything was handed out. */
  readonly ended?: boolean;
  /**
   * Up to `max` deliveries (never more), or none after about a second while the broker's own poll goes on. Not calling
   * it is the backpressure. Partitions in `skip` are left out where `receive.skip` says so. Rejects when the
   * subscription can't go on; what it had not handed out stays unsettled.
   */
  receive(max: number, signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]>;
  /**
   * Settles. Individual: one result per receipt, `lost` where the lease is known to be gone. Cumulative: each receipt
   * settles its partition up to itself. Rejects when nothing is known about any of them. A late receipt is harmless.
   */
  ack(receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]>;
  /**
   * Publishes and settles as one (T1): either every result is `ok`, and all outputs are stored, those of one destination
   * and key in this order, and all receipts settled as by `ack`; or some are `lost`, and nothing has happened, nor will.
   * One call at a time, and none beside an `ack`. Rejects when it failed or nobody knows: core ends the subscription. The
   * next one must not be handed anything whose settlement is still undecided. Where `transactions` is not refused.
   */
  transact?(outputs: readonly Output[], receipts: readonly Receipt[]): Promise<readonly ('ok' | 'lost')[]>;
  /** Gives back, not before `delay` ms. Core orders the receipts so that they may be given back one after another. */
  nack?(receipts: readonly Receipt[], options: { delay: number; failed: boolean; attempt: number }): Promise<void>;
  /** Prolongs leases to `ms` from now. Per receipt: the new end (monotonic ms), or `lost`. */
  extend?(receipts: readonly Receipt[], ms: number): Promise<readonly (number | 'lost')[]>;
  /** Moves this running subscription. Deliveries handed out before are stale: core has dropped them. */
  seek?(position: StartPosition): Promise<void>;
  /** Ends it: what is unsettled becomes available to others at once where the broker can do that. Idempotent. */
  close(): Promise<void>;
}

export interface ProvisionSpec {
  /** `create` makes what is missing and never alters; `verify` refuses; `none` looks at the partition count only. */
  readonly topology: 'create' | 'verify' | 'none';
  readonly destination: Destination;
  /** Milliseconds to keep settled messages; null: the broker's own, or none. */
  readonly retention: number | null;
  /** Groups of this topic to provision, each with its inbox. */
  readonly groups: readonly {
    readonly group: string;
    readonly address: string | null;
    readonly start: StartPosition;
    readonly inbox: Destination | null;
  }[];
}

/** What was seen of a broker at `connect`: version, fsync mode, replicas … Shown by `doctor` and the report. */
export type Facts = Readonly<Record<string, string | number | boolean | null>>;

export interface Lag {
  readonly count: number;
  /** Age of the oldest unsettled message in ms; null where the broker can't tell, or there is none. */
  readonly age: number | null;
  readonly exact: boolean;
}

export interface BrowsedMessage extends Envelope {
  readonly position: Position | null;
  /** To go on from here, where the broker can. */
  readonly partition: number;
}

export interface Adapter {
  /** `memory`, `redis`, … */
  readonly name: string;
  readonly supports: Supports;
  /** Opens, or opens again after a loss. Checks the broker against the manifest: weaker is an error, `unsupported`. */
  connect(signal: AbortSignal): Promise<Facts>;
  /** One outcome per message, in order. Rejects only when nothing at all was attempted. */
  publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]>;
  /** Resolves when the subscription stands: a message published from now on reaches the group. */
  subscribe(spec: SubscriptionSpec, signal: AbortSignal): Promise<AdapterSubscription>;
  /** Resolves when its destinations keep what `publish.durability` says. Idempotent. */
  provision(spec: ProvisionSpec, signal: AbortSignal): Promise<void>;
  classify(error: unknown): ErrorCode;
  /** Core has drained. Idempotent; ends within seconds whatever the state. */
  close(): Promise<void>;

  lag?(destination: Destination, group: string, groupAddress: string | null): Promise<Lag>;
  /** Moves a stopped group. A running one is refused with `invalid`. */
  reset?(destination: Destination, group: string, groupAddress: string | null, to: StartPosition): Promise<void>;
  /** Up to `max` messages from `from` (null: the first) without taking them. */
  browse?(destination: Destination, from: Position | null, max: number): Promise<readonly BrowsedMessage[]>;
  /** The time (ms) since which everything published is still held; null when nothing was ever removed. */
  oldest?(destination: Destination): Promise<number | null>;
}

/** What `waybill.config` says about one broker, parsed. */
export interface AdapterConfig {
  /** The URL as given, credentials and all; `memory:` and the like. */
  readonly url: string;
  /** The adapter's own options, unchecked: the adapter validates them and refuses what it does not know. */
  readonly options: Readonly<Record<string, unknown>>;
  /** This program's name (`source`), for client ids. */
  readonly client: string;
}

/** What an adapter package exports, so that core can load it by scheme. */
export interface AdapterModule {
  /** Checks the configuration (code `invalid`), opens nothing. */
  createAdapter(config: AdapterConfig): Adapter;
  /** Scheme to the manifest of its default options, so that a refusal can name who meets a need. */
  readonly manifests: Readonly<Record<string, Supports>>;
}
