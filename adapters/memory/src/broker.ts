import type { Clock, Destination, Output, OutgoingMessage, SendOutcome, StartPosition } from '@waybill/core/adapter';
import { Connection } from './connection.ts';
import { BrokerError } from './errors.ts';
import { Faults } from './faults.ts';
import { Group } from './group.ts';
import { sizeOf } from './log.ts';
import { type BrokerOptions, type BrokerSettings, resolveBroker } from './options.ts';
import { Store } from './store.ts';
import { Timers } from './timers.ts';

/** Partitions of a topic whose count nobody chose, on a cumulative adapter, where a partition has one reader. */
const uncountedPartitions = 4;

/**
 * A broker in this process. It outlives the adapters that connect to it: share one between several to have several
 * consumers, and to let a consumer reconnect.
 *
 * @example
 * const broker = new MemoryBroker({ maxBytes: 256 * 1024 * 1024 });
 * const bus = await connect({ brokers: { main: memory({ broker }) } });
 *
 * @throws WaybillError `invalid` for options that it does not know or that are out of bounds.
 */
export class MemoryBroker {
  readonly settings: BrokerSettings;
  readonly timers: Timers;
  /** What goes wrong, on demand. */
  readonly faults: Faults;
  /** Bytes stored, settled or not. */
  bytes = 0;
  readonly #connections = new Set<Connection>();
  readonly #stores = new Map<string, Store>();
  #waiting = new Set<Group>();
  #immediate = false;

  constructor(options: BrokerOptions = {}) {
    this.settings = resolveBroker(options);
    this.timers = new Timers(this.settings.clock);
    this.faults = new Faults(this);
  }

  get clock(): Clock {
    return this.settings.clock;
  }

  /** Connections that stand, those of killed adapters not counted. */
  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  connectionsOf(adapter: object): readonly Connection[] {
    return this.connections.filter((connection) => connection.owner === adapter);
  }

  /** @throws BrokerError `disconnected` while connects are refused. */
  attach(adapter: object): Connection {
    const error = this.faults.connectError(adapter);
    if (error !== null) throw error;
    const connection = new Connection(this, adapter);
    this.#connections.add(connection);
    this.timers.start();
    return connection;
  }

  detach(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.timers.stop();
  }

  /** What is stored under a destination's name; undefined when nothing was made yet. */
  find(destination: Destination): Store | undefined {
    const store = this.#stores.get(nameOf(destination));
    store?.guard(destination.partitions);
    return store;
  }

  /** @throws BrokerError `not-found`, or `invalid` for another partition count. */
  store(destination: Destination): Store {
    const store = this.find(destination);
    if (store === undefined) throw new BrokerError('not-found', `${nameOf(destination)} does not exist`);
    return store;
  }

  create(destination: Destination, options: { retention: number | null; cumulative: boolean }): Store {
    const existing = this.find(destination);
    if (existing !== undefined) return existing;
    const name = nameOf(destination);
    const logs = destination.partitions ?? (options.cumulative ? uncountedPartitions : 1);
    const store = new Store(this, name, destination, logs, options.retention);
    this.#stores.set(name, store);
    return store;
  }

  /** Makes a group where there is none, and gives it its inbox. */
  group(
    store: Store,
    name: string,
    options: {
      start: StartPosition;
      exclusive: boolean;
      passing: boolean;
      inbox: Destination | null;
      cumulative: boolean;
    },
  ): Group {
    let group = store.groups.get(name);
    if (group === undefined) {
      group = new Group(store, name, options);
      store.groups.set(name, group);
    } else if (group.exclusive !== options.exclusive) {
      throw new BrokerError('invalid', `group ${name} of ${store.name} is ${group.exclusive ? '' : 'not '}ordered`);
    }
    if (options.inbox !== null) {
      const inbox = this.create(options.inbox, { retention: null, cumulative: options.cumulative });
      group.attach(inbox);
      inbox.readBy(group);
    }
    return group;
  }

  /** Stores messages. Behind one of a key that is not confirmed, no later one of that key is. */
  publish(
    store: Store,
    messages: readonly OutgoingMessage[],
    options: { dedup: boolean; delay: boolean },
  ): readonly SendOutcome[] {
    const now = this.clock.monotonic();
    const intake = { now, wall: this.clock.now(), dedup: options.dedup, delay: options.delay };
    let failed: Set<string> | null = null;
    const outcomes = messages.map((message): SendOutcome => {
      if (failed !== null && message.key !== null && failed.has(message.key)) return { status: 'skipped' };
      const fault = this.faults.nextPublish();
      let outcome = fault !== null && !fault.stored ? null : store.append(message, intake);
      if (fault !== null) outcome = { status: fault.outcome, error: fault.error };
      if (outcome?.status !== 'confirmed' && message.key !== null) (failed ??= new Set()).add(message.key);
      return outcome as SendOutcome;
    });
    store.appended(now);
    return outcomes;
  }

  /**
   * Stores all of these, or none. Returns the fault on demand by which its answer is lost, if any.
   *
   * @throws BrokerError for the first that is refused: nothing was stored
   */
  publishAll(
    outputs: readonly Output[],
    accepts: (destination: Destination) => { readonly dedup: boolean; readonly delay: boolean },
  ): BrokerError | null {
    const now = this.clock.monotonic();
    const wall = this.clock.now();
    let unanswered: BrokerError | null = null;
    let bytes = 0;
    const stored = outputs.map(({ destination, message }) => {
      const fault = this.faults.nextPublish();
      if (fault?.stored === false) throw fault.error;
      unanswered = fault?.error ?? unanswered;
      const store = this.store(destination);
      const intake = { now, wall, ...accepts(destination) };
      const refused = store.refusal(message, intake);
      if (refused !== null) throw refused;
      bytes += sizeOf(message);
      return { store, message, intake };
    });
    if (!this.makeRoom(bytes)) throw this.full();
    for (const { store, message, intake } of stored) store.append(message, intake);
    for (const store of new Set(stored.map((one) => one.store))) store.appended(now);
    return unanswered;
  }

  full(): BrokerError {
    return new BrokerError(
      'throttled',
      `the broker holds ${this.bytes} unsettled bytes; allowed: ${this.settings.maxBytes}`,
    );
  }

  /** Removes settled messages, of whatever destination, until so many bytes fit. Returns whether they do. */
  makeRoom(bytes: number): boolean {
    if (this.bytes + bytes <= this.settings.maxBytes) return true;
    for (const store of this.#stores.values()) {
      while (this.bytes + bytes > this.settings.maxBytes && store.trimOne());
    }
    return this.bytes + bytes <= this.settings.maxBytes;
  }

  /** Serves a group's polls in the next turn of the event loop: one turn per batch, so that nothing else starves. */
  schedule(group: Group): void {
    this.#waiting.add(group);
    if (this.#immediate) return;
    this.#immediate = true;
    setImmediate(() => {
      this.#immediate = false;
      const waiting = this.#waiting;
      this.#waiting = new Set();
      const now = this.clock.monotonic();
      for (const one of waiting) one.serve(now);
    });
  }

  wakeAll(): void {
    for (const store of this.#stores.values()) for (const group of store.groups.values()) group.wake();
  }
}

export function nameOf(destination: Destination): string {
  return destination.address ?? destination.name;
}
