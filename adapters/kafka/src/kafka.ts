import {
  type Adapter,
  type AdapterSubscription,
  type BrowsedMessage,
  type Destination,
  type ErrorCode,
  type Facts,
  type Lag,
  type OutgoingMessage,
  type Position,
  type ProvisionSpec,
  type SendOutcome,
  type StartPosition,
  type SubscriptionSpec,
  type Supports,
  untilAborted,
  WaybillError,
} from '@waybill/core/adapter';
import { Connection } from './connection.ts';
import { classify, otherCount } from './errors.ts';
import { inspect } from './facts.ts';
import { groupIdOf, placeGroup, resetGroup, topicOf } from './groups.ts';
import { IdempotentRequests } from './idempotent.ts';
import { browseTopic, lagOf, oldestOf } from './inspection.ts';
import type { LeftBehind } from './membership.ts';
import type { Settings } from './options.ts';
import { type Produce, Requests, type Route, send } from './publish.ts';
import { KafkaReplay } from './replay.ts';
import { KafkaSubscription } from './subscription.ts';
import { supportsOf } from './supports.ts';
import { checkCount, provision } from './topology.ts';

type Open = AdapterSubscription & { readonly closed: boolean };

export class KafkaAdapter implements Adapter {
  readonly name = 'kafka';
  readonly supports: Supports;
  readonly #settings: Settings;
  readonly #subscriptions = new Set<Open>();
  readonly #routes = new Map<string, Route>();
  readonly #leftBehind: LeftBehind = new Map();
  #connection: Connection | null = null;
  #idempotent: IdempotentRequests | null = null;
  #produce: Produce | null = null;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.supports = supportsOf(settings);
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    if (this.#closed) throw new WaybillError('closed', 'kafka: the adapter is closed');
    void this.#drop();
    const connection = await Connection.open(this.#settings, 'main', signal);
    try {
      const facts = await inspect(connection, this.#settings);
      if (this.#closed) throw new WaybillError('closed', 'kafka: the adapter is closed');
      this.#connection = connection;
      this.#idempotent = this.#settings.idempotent ? new IdempotentRequests(this.#settings) : null;
      this.#produce = this.#idempotent?.produce ?? new Requests(connection, this.#settings).produce;
      return facts;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const connection = this.#live();
    const topic = topicOf(destination);
    const leaders = await connection.leaders(topic);
    const { partitions, name } = destination;
    if (partitions !== null && leaders.length !== partitions) throw otherCount(name, leaders.length, partitions);
    let route = this.#routes.get(topic);
    if (route === undefined) this.#routes.set(topic, (route = { turn: 0 }));
    const sending = send(this.#produce as Produce, topic, leaders, messages, this.#settings, route);
    return untilAborted(sending, messages, signal);
  }

  async subscribe(spec: SubscriptionSpec, signal: AbortSignal): Promise<AdapterSubscription> {
    const main = this.#live();
    const { destination, inbox, group, groupAddress, start, bounded } = spec;
    const topic = topicOf(destination);
    for (const one of inbox === null ? [destination] : [destination, inbox])
      if ((await checkCount(main, one)) === null)
        throw new WaybillError('not-found', `kafka: the topic '${topicOf(one)}' does not exist`);
    const groupId = groupIdOf(destination, group, groupAddress);
    if (!bounded) await placeGroup(main, groupId, topic, start);
    const connection = await Connection.open(this.#settings, 'reader', signal);
    const stop = (): void => void connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      const subscription = bounded
        ? await new KafkaReplay(connection, this.#settings).open(topic, start)
        : await new KafkaSubscription({
            connection,
            settings: this.#settings,
            spec,
            groupId,
            leftBehind: this.#leftBehind,
          }).open();
      for (const old of this.#subscriptions) if (old.closed) this.#subscriptions.delete(old);
      this.#subscriptions.add(subscription);
      if (this.#closed) await subscription.close();
      return subscription;
    } catch (error) {
      await connection.close();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async provision(spec: ProvisionSpec): Promise<void> {
    await provision(this.#live(), this.#settings, spec);
  }

  classify(error: unknown): ErrorCode {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#subscriptions.clear();
    await this.#drop();
  }

  async lag(destination: Destination, group: string, groupAddress: string | null): Promise<Lag> {
    return lagOf(this.#live(), destination, group, groupAddress);
  }

  async reset(destination: Destination, group: string, groupAddress: string | null, to: StartPosition): Promise<void> {
    await resetGroup(this.#live(), groupIdOf(destination, group, groupAddress), topicOf(destination), to);
  }

  async browse(destination: Destination, from: Position | null, max: number): Promise<readonly BrowsedMessage[]> {
    return browseTopic(this.#live(), destination, from, max);
  }

  async oldest(destination: Destination): Promise<number | null> {
    return oldestOf(this.#live(), destination);
  }

  async #drop(): Promise<void> {
    const [connection, idempotent] = [this.#connection, this.#idempotent];
    this.#connection = null;
    this.#idempotent = null;
    await Promise.all([connection?.close(), idempotent?.close()]);
  }

  #live(): Connection {
    if (this.#closed) throw new WaybillError('closed', 'kafka: the adapter is closed');
    if (this.#connection !== null) return this.#connection;
    throw new WaybillError('disconnected', 'kafka: not connected');
  }
}
