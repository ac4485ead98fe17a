import {
  type Adapter,
  type AdapterSubscription,
  type BrowsedMessage,
  type Capability,
  type Destination,
  envelopeOf,
  type ErrorCode,
  type Facts,
  type OutgoingMessage,
  type Position,
  type ProvisionSpec,
  type SendOutcome,
  type StartPosition,
  type SubscriptionSpec,
  type Supports,
} from '@waybill/core/adapter';
import { type MemoryBroker, nameOf } from './broker.ts';
import type { Connection } from './connection.ts';
import { BrokerError, classify } from './errors.ts';
import type { Group } from './group.ts';
import type { AdapterSettings } from './options.ts';
import type { Store } from './store.ts';
import { type Features, MemorySubscription } from './subscription.ts';
import { manifest } from './supports.ts';

/** Publishes that may be answered without letting the event loop turn. */
const publishesPerTurn = 256;

/** Waybill's adapter contract on a `MemoryBroker`. Which optional methods it has follows from its manifest. */
export class MemoryAdapter implements Adapter {
  readonly name = 'memory';
  readonly supports: Supports;
  readonly broker: MemoryBroker;
  declare readonly lag?: NonNullable<Adapter['lag']>;
  declare readonly reset?: NonNullable<Adapter['reset']>;
  declare readonly browse?: NonNullable<Adapter['browse']>;
  declare readonly oldest?: NonNullable<Adapter['oldest']>;
  readonly #cumulative: boolean;
  readonly #features: Features;
  #connection: Connection | null = null;
  #closed = false;
  #untilTurn = publishesPerTurn;

  constructor(broker: MemoryBroker, settings: AdapterSettings) {
    this.broker = broker;
    this.supports = manifest(settings, broker.settings);
    this.#cumulative = settings.cumulative;
    const { settle, lease, order, lag, browse, reset, seek, deliver, receive, transactions } = this.supports;
    this.#features = {
      cumulative: settings.cumulative,
      nack: native(settle.nack),
      attempts: settle.nack.attempts,
      seek: native(seek),
      skip: receive.skip,
      transactions: native(transactions),
      accepts: (destination) => this.#accepts(destination),
      shows: { lease: native(lease), deliveryCount: native(settle.deliveryCount), fence: native(order.fence) },
    };
    if (native(lag)) this.lag = async (...place) => this.#lag(this.#group(...place));
    if (native(reset))
      this.reset = async (destination, group, address, to) => this.#reset(this.#group(destination, group, address), to);
    if (native(browse))
      this.browse = async (destination, from, max) => browseStore(this.#store(destination), from, max);
    if (native(deliver.replay)) this.oldest = async (destination) => this.#store(destination).oldest();
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    if (this.#closed) throw new BrokerError('closed', 'the adapter was closed');
    signal.throwIfAborted();
    if (this.#connection !== null && this.#connection.error === null) await this.#connection.close();
    this.#connection = this.broker.attach(this);
    return { broker: 'in this process', maxBytes: this.broker.settings.maxBytes };
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const { faults } = this.broker;
    const connection = this.#connected();
    signal.throwIfAborted();
    const before = faults.pause('publish', connection, signal);
    if (before !== null) await before;
    const outcomes = this.broker.publish(this.#store(destination), messages, this.#accepts(destination));
    const after = faults.pause('publish', connection, signal);
    if (after === null) {
      this.#untilTurn -= messages.length;
      if (this.#untilTurn <= 0) await this.#turn();
      return outcomes;
    }
    try {
      await after;
      return outcomes;
    } catch (error) {
      return messages.map(() => ({ status: 'unknown', error })); // stored, but the answer is lost
    }
  }

  async subscribe(spec: SubscriptionSpec, signal: AbortSignal): Promise<AdapterSubscription> {
    const connection = this.#connected();
    signal.throwIfAborted();
    const replays = spec.bounded || (spec.start !== 'held' && spec.start !== 'latest');
    if (replays && !native(this.supports.deliver.replay)) {
      throw new BrokerError('unsupported', `${spec.destination.name}: this adapter keeps nothing to replay`);
    }
    const group = this.#makeGroup(this.#store(spec.destination), spec.groupAddress ?? spec.group, spec);
    const subscription = new MemorySubscription(connection, group, spec, this.#features);
    connection.subscriptions.add(subscription);
    group.join(subscription);
    return subscription;
  }

  async provision(spec: ProvisionSpec, signal: AbortSignal): Promise<void> {
    this.#connected();
    signal.throwIfAborted();
    const { destination, retention } = spec;
    this.#mayOrder(destination);
    if (spec.topology === 'create') {
      const store = this.broker.create(destination, { retention, cumulative: this.#cumulative });
      for (const { group, address, start, inbox } of spec.groups) {
        this.#makeGroup(store, address ?? group, { destination, start, inbox, bounded: false });
      }
      return;
    }
    const store = this.broker.find(destination); // also refuses another partition count
    const inboxes = spec.groups.flatMap(({ inbox }) => (inbox === null ? [] : [inbox]));
    const absent = [destination, ...inboxes].filter((one) => this.broker.find(one) === undefined).map(nameOf);
    if (spec.topology === 'none') return;
    for (const { group, address } of spec.groups) {
      if (store?.groups.has(address ?? group) !== true) absent.push(`group ${address ?? group}`);
    }
    if (absent.length > 0) throw new BrokerError('not-found', `missing at the broker: ${absent.join(', ')}`);
    if (retention !== null && store?.retention !== retention) {
      throw new BrokerError(
        'invalid',
        `${nameOf(destination)} was made with retention ${store?.retention ?? 'none'}, not ${retention} ms`,
      );
    }
  }

  classify(error: unknown): ErrorCode {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#connection?.close();
  }

  #connected(): Connection {
    if (this.#closed) throw new BrokerError('closed', 'the adapter was closed');
    if (this.#connection === null) throw new BrokerError('disconnected', 'the adapter is not connected');
    this.#connection.check();
    return this.#connection;
  }

  #store(destination: Destination): Store {
    this.#connected();
    this.#mayOrder(destination);
    return this.broker.store(destination);
  }

  #accepts({ kind }: Destination): { dedup: boolean; delay: boolean } {
    const { publish, requeue } = this.supports;
    return { dedup: native(publish.dedup), delay: native(kind === 'inbox' ? requeue : publish.delay) };
  }

  #mayOrder(destination: Destination): void {
    if (!destination.ordered || native(this.supports.order.key)) return;
    throw new BrokerError('unsupported', `${nameOf(destination)}: this adapter keeps no order per key`);
  }

  #group(destination: Destination, name: string, address: string | null): Group {
    const store = this.#store(destination);
    const group = store.groups.get(address ?? name);
    if (group === undefined) throw new BrokerError('not-found', `${store.name} has no group ${address ?? name}`);
    return group;
  }

  #makeGroup(
    store: Store,
    name: string,
    spec: { destination: Destination; start: StartPosition; inbox: Destination | null; bounded: boolean },
  ): Group {
    return this.broker.group(store, name, {
      start: spec.start,
      inbox: spec.inbox,
      exclusive: spec.destination.ordered || this.#cumulative,
      passing: spec.bounded,
      cumulative: this.#cumulative,
    });
  }

  /** A loop of publishes that are all answered at once would starve timers, sockets and consumers. */
  #turn(): Promise<void> {
    this.#untilTurn = publishesPerTurn;
    return new Promise((resolve) => setImmediate(resolve));
  }

  #lag(group: Group): { count: number; age: number | null; exact: boolean } {
    let count = 0;
    let oldest = Number.POSITIVE_INFINITY;
    for (const cursor of group.cursors) {
      count += cursor.unsettled;
      const { entries } = cursor.log;
      if (cursor.floor < entries.end) oldest = Math.min(oldest, entries.at(cursor.floor).storedAt);
    }
    return { count, age: count === 0 ? null : Math.max(0, this.broker.clock.now() - oldest), exact: true };
  }

  #reset(group: Group, to: StartPosition): void {
    if (group.live)
      throw new BrokerError('invalid', `group ${group.name} of ${group.store.name} is running; stop it first`);
    group.seek(group.topic, to);
  }
}

const native = (capability: Capability): boolean => capability.by === 'native';

/** Partition after partition, from an offset of one of them. Outside topics only what somebody still needs. */
function browseStore(store: Store, from: Position | null, max: number): BrowsedMessage[] {
  const [partition, text] = from === null ? ['0', '0'] : (Object.entries(from)[0] ?? ['0', '0']);
  const found: BrowsedMessage[] = [];
  for (const log of store.logs) {
    if (log.partition < Number(partition)) continue;
    const start = log.partition === Number(partition) ? Number(text) : 0;
    for (let offset = Math.max(start, log.entries.first); offset < log.entries.end && found.length < max; offset++) {
      const settled = log.cursors.length > 0 && log.cursors.every((cursor) => cursor.isSettled(offset));
      if (settled && store.kind !== 'topic') continue;
      const entry = log.entries.at(offset);
      found.push({ ...envelopeOf(entry), position: entry.position, partition: log.partition });
    }
  }
  return found;
}
