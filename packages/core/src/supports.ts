/**
 * Who keeps a guarantee: the broker itself, core or the adapter on top of it, or nobody. What is `refused` can't be
 * asked for: the start-up negotiation says so before anything is sent.
 */
export type By = 'native' | 'emulated' | 'refused';

/** The least a capability says about itself. */
export interface Capability {
  readonly by: By;
}

/**
 * The manifest of one adapter instance. It is the only list of what a broker can do: the start-up negotiation, core's
 * emulations, the conformance suite and the comparison report all read it.
 *
 * It is frozen, JSON-safe, fixed by the constructor's options, known without connecting, and the same before `connect`
 * and after `close`. Times are milliseconds, sizes bytes. `null` as a limit means that there is none.
 */
export interface Supports {
  readonly format: 1;
  /** The adapter's name, equal to `Adapter.name`. */
  readonly adapter: string;
  readonly publish: {
    /**
     * What a confirmed message survives (P1): `memory` nothing but the life of the broker's process, `process` a killed
     * broker process, `disk` a power cut, `replicated` the loss of a node.
     */
    readonly durability: 'memory' | 'process' | 'disk' | 'replicated';
    /** Most messages and bytes in one `publish` call. */
    readonly batch: { readonly messages: number; readonly bytes: number };
    /** How many `publish` calls core may have open at once for one destination. */
    readonly inFlight: number;
    /** Largest body, when its bytes are valid UTF-8 text and when they are not (P4, P5). */
    readonly size: { readonly text: number; readonly binary: number };
    /** The user's headers: how many, and how many bytes of names and values together. */
    readonly headers: { readonly count: number | null; readonly bytes: number | null };
    /** Delayed publish (P7). Never early; at most `lateness` late, rounded up to `granularity`. */
    readonly delay: Capability & {
      readonly max: number | null;
      readonly granularity: number;
      readonly lateness: number;
      /** Whether a delay may be combined with an ordering key. */
      readonly ordered: boolean;
    };
    /** Broker deduplication by `sendId` (E2). */
    readonly dedup: Capability & { readonly window: number };
    /** A message for a topic that has no group: kept by the broker, or rejected `not-found` (D1). */
    readonly unrouted: 'kept' | 'rejected';
  };
  readonly deliver: {
    /** Each group gets all (D2). A new group is seen by every publisher within `window` (D1). */
    readonly fanout: Capability & { readonly window: number };
    /** Unsettled deliveries of a killed consumer come again within `bound` (D5). */
    readonly redelivery: Capability & { readonly bound: number };
    /** Settled before the handler (D4). */
    readonly atMostOnce: Capability;
    /** Reading again what was settled, and starting at `earliest`, a time or a position (D7, D8). */
    readonly replay: Capability;
    /** Keeping settled messages for a time that the topic chooses. */
    readonly retention: Capability;
    /** How long an unsettled message may wait before the broker itself gives it up. */
    readonly unsettled: { readonly maxAge: number | null };
    /** Filters (D11): `native` when the adapter pushes them down, `emulated` when core applies them. */
    readonly filter: Capability;
    /** Message expiry (D10). */
    readonly expiry: Capability;
  };
  readonly order: {
    /** Order per key (O1, O2). */
    readonly key: Capability & {
      /**
       * `broker`: key affinity without a count of ours. `counted`: n partitions, murmur2(key) mod n; core computes the
       * partition of each message. `none`: ordering is refused.
       */
      readonly partitions: 'broker' | 'counted' | 'none';
    };
    /** Partitions are spread over the instances of a group; `refused` means active and standby. */
    readonly spread: Capability;
    /** The partition count is recorded at the broker and guarded (O7). */
    readonly guard: Capability;
    /** `context.fence`: a number per partition that only grows (O3). */
    readonly fence: Capability;
    /** How long one old handler of a key may still run after a forced hand-over (O3). */
    readonly handover: { readonly forced: number | null };
    /** `deadLetter: 'key'` (R11). */
    readonly parkedKeys: Capability;
  };
  readonly settle: {
    /** `cumulative`: one receipt settles everything before it in its partition, so core commits watermarks. */
    readonly mode: 'individual' | 'cumulative';
    /** Whether a resolved `ack` means that the broker has processed it. */
    readonly confirmed: boolean;
    /** Whether a settled message may come again (D3). */
    readonly repeats: 'never' | 'rare';
    /** Give back. `attempts`: the broker stores the attempt with it, so that a *failed* delivery may be nacked. */
    readonly nack: Capability & {
      readonly max: number | null;
      readonly granularity: number;
      readonly attempts: boolean;
    };
    /** The broker's own count of arrivals (R10). */
    readonly deliveryCount: Capability;
    /** Whether in-place attempts survive a crash of the consumer (R1). */
    readonly attempts: { readonly durable: boolean };
  };
  /**
   * Holding a delivery (D6). `default` is the lease that core asks for where the subscription says nothing: bounds such as
   * `deliver.redelivery` are those of this lease. `max` is the longest in all; `granularity` the unit of an extension.
   */
  readonly lease: Capability & { readonly default: number; readonly max: number | null; readonly granularity: number };
  readonly receive: {
    /** One full broker batch: the size of `receive` that the broker answers best. */
    readonly batch: number;
    /** The longest a poll under way may go on after core stopped calling `receive`. */
    readonly stopDelay: number;
    /** Whether the broker's own credit is kept per subscription or per partition. */
    readonly credit: 'subscription' | 'partition';
    /** Whether `receive` can leave out partitions that core names (O4). */
    readonly skip: boolean;
  };
  /** Delayed copies in the group inbox (R2): never early, at most `lateness` late, any delay up to `max`. */
  readonly requeue: Capability & {
    readonly max: number | null;
    readonly granularity: number;
    readonly lateness: number;
  };
  /** Published for the group and not settled (F5). */
  readonly lag: Capability & { readonly exact: boolean; readonly age: boolean };
  /** Looking at the messages of a destination without taking them. */
  readonly browse: Capability;
  /** Moving a stopped group, and a running one. */
  readonly reset: Capability;
  readonly seek: Capability;
  /** Storing a handler's results and settling its message as one, all or nothing (T1, T2). */
  readonly transactions: Capability;
}

/** A path to a capability in the manifest, as needs, cases and errors name it. */
export type CapabilityPath =
  | 'publish.delay'
  | 'publish.dedup'
  | 'deliver.fanout'
  | 'deliver.redelivery'
  | 'deliver.atMostOnce'
  | 'deliver.replay'
  | 'deliver.retention'
  | 'deliver.filter'
  | 'deliver.expiry'
  | 'order.key'
  | 'order.spread'
  | 'order.guard'
  | 'order.fence'
  | 'order.parkedKeys'
  | 'settle.nack'
  | 'settle.deliveryCount'
  | 'lease'
  | 'requeue'
  | 'lag'
  | 'browse'
  | 'reset'
  | 'seek'
  | 'transactions';

/** Every capability path, in the order in which docs and reports list them. */
export const CAPABILITIES: readonly CapabilityPath[] = [
  'publish.delay',
  'publish.dedup',
  'deliver.fanout',
  'deliver.redelivery',
  'deliver.atMostOnce',
  'deliver.replay',
  'deliver.retention',
  'deliver.filter',
  'deliver.expiry',
  'order.key',
  'order.spread',
  'order.guard',
  'order.fence',
  'order.parkedKeys',
  'settle.nack',
  'settle.deliveryCount',
  'lease',
  'requeue',
  'lag',
  'browse',
  'reset',
  'seek',
  'transactions',
];

/** The capability at a path. */
export function capability(supports: Supports, path: CapabilityPath): Capability {
  const [part, name] = path.split('.') as [keyof Supports, string | undefined];
  const section = supports[part] as unknown as Record<string, Capability> & Capability;
  return name === undefined ? section : (section[name] as Capability);
}

/** Freezes a manifest to its leaves, so that nobody can turn a declared value at run time. */
export function freezeSupports(supports: Supports): Supports {
  const freeze = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    Object.freeze(value);
    for (const inner of Object.values(value)) freeze(inner);
  };
  freeze(supports);
  return supports;
}
