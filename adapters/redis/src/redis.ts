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
import { Cluster } from 'ioredis';
import { type Client, dial, inspect } from './connection.ts';
import { classify } from './errors.ts';
import { browseTopic, lagOf, oldestOf, resetGroup } from './inspection.ts';
import { Layout } from './keys.ts';
import type { Settings } from './options.ts';
import { OrderedSubscription } from './ordered.ts';
import { send, sendInOrder } from './publish.ts';
import { RedisReplay, type ReplaySource } from './replay.ts';
import { RedisSubscription } from './subscription.ts';
import { supportsOf } from './supports.ts';
import { replayFrom, Topology } from './topology.ts';
import { type Source, Upkeep } from './upkeep.ts';

/** Longest block of a read: on top of the timeout, for its connection. */
const READ = 500;

type Open = AdapterSubscription & { readonly closed: boolean };

export class RedisAdapter implements Adapter {
  readonly name = 'redis';
  readonly supports: Supports;
  readonly #settings: Settings;
  readonly #layout: Layout;
  readonly #topology: Topology;
  readonly #subscriptions = new Set<Open>();
  #client: Client | null = null;
  /** Streams of several hash tags may be on several nodes, so no one command can name them. */
  #scattered = false;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#layout = new Layout(settings.keyPrefix);
    this.#topology = new Topology(this.#layout);
    this.supports = supportsOf(settings);
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    if (this.#closed) throw new WaybillError('closed', 'redis: the adapter is closed');
    this.#hangUp();
    const client = await dial(this.#settings, 'main', 0, signal);
    try {
      const facts = await inspect(client, this.#settings);
      if (this.#closed) throw new WaybillError('closed', 'redis: the adapter is closed');
      this.#client = client;
      this.#scattered = facts['cluster'] === true;
      return facts;
    } catch (error) {
      client.disconnect();
      throw error;
    }
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const client = this.#live();
    const sending =
      destination.partitions === null
        ? send(client, this.#layout.stream(destination, 0), messages, this.#settings)
        : sendInOrder(client, this.#layout.streams(destination), messages, this.#settings);
    return untilAborted(sending, messages, signal);
  }

  async subscribe(spec: SubscriptionSpec, signal: AbortSignal): Promise<AdapterSubscription> {
    const client = this.#live();
    const { destination, inbox } = spec;
    if (spec.bounded) return this.#replay(client, destination, spec.start);
    const group = spec.groupAddress ?? spec.group;
    await this.#topology.check(client, destination, group);
    if (inbox !== null) await this.#topology.check(client, inbox, group);
    const subscription =
      destination.partitions === null
        ? await this.#subscribe(client, spec, group, signal)
        : await this.#subscribeInOrder(client, spec, group, signal);
    for (const old of this.#subscriptions) if (old.closed) this.#subscriptions.delete(old);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async provision(spec: ProvisionSpec): Promise<void> {
    await this.#topology.provision(this.#live(), spec);
  }

  classify(error: unknown): ErrorCode {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#subscriptions.clear();
    this.#hangUp();
  }

  async lag(destination: Destination, group: string, groupAddress: string | null): Promise<Lag> {
    return lagOf(this.#live(), this.#layout, destination, group, groupAddress ?? group);
  }

  async reset(destination: Destination, group: string, groupAddress: string | null, to: StartPosition): Promise<void> {
    const name = groupAddress ?? group;
    await this.#topology.check(this.#live(), destination, name);
    await resetGroup(this.#live(), this.#layout, destination, name, to);
  }

  async browse(destination: Destination, from: Position | null, max: number): Promise<readonly BrowsedMessage[]> {
    return browseTopic(this.#live(), this.#layout, destination, from, max);
  }

  async oldest(destination: Destination): Promise<number | null> {
    return oldestOf(this.#live(), this.#layout, destination);
  }

  /** Once for each connection: ioredis keeps something of every call until the socket has gone. */
  #hangUp(): void {
    this.#client?.disconnect();
    this.#client = null;
  }

  #live(): Client {
    if (this.#closed) throw new WaybillError('closed', 'redis: the adapter is closed');
    if (this.#client?.status === 'ready') return this.#client;
    throw new WaybillError('disconnected', 'redis: not connected');
  }

  async #subscribe(client: Client, spec: SubscriptionSpec, group: string, signal: AbortSignal): Promise<Open> {
    const { destination, inbox, consumer } = spec;
    const sources: Source[] = [
      {
        keys: this.#layout.stream(destination, 0),
        origin: 'topic',
        partition: 0,
        members: [this.#layout.members(destination, group)],
        deletes: destination.kind !== 'topic',
      },
    ];
    if (inbox !== null)
      sources.push({
        keys: this.#layout.stream(inbox, 0),
        origin: 'inbox',
        partition: 0,
        members: [],
        deletes: true,
      });
    const reader = await dial(this.#settings, 'reader', READ, signal);
    const upkeep = new Upkeep({ client, sources, consumer, retention: this.#settings.retention });
    return new RedisSubscription({ client, reader, spec, group, sources, upkeep });
  }

  async #subscribeInOrder(client: Client, spec: SubscriptionSpec, group: string, signal: AbortSignal): Promise<Open> {
    const { destination, inbox } = spec;
    const partitions = this.#layout.streams(destination).map((topic, partition) => ({
      lease: this.#layout.lease(destination, partition, group),
      topic,
      inbox: inbox === null ? null : this.#layout.stream(inbox, partition),
    }));
    const reader = this.#scattered ? null : await dial(this.#settings, 'reader', READ, signal);
    return new OrderedSubscription({
      client,
      reader: reader instanceof Cluster ? null : reader,
      spec,
      group,
      members: this.#layout.members(destination, group),
      partitions,
      retention: this.#settings.retention,
    });
  }

  async #replay(client: Client, destination: Destination, start: StartPosition): Promise<AdapterSubscription> {
    await this.#topology.check(client, destination, '');
    const sources = this.#layout.streams(destination).map(async ({ stream }, partition): Promise<ReplaySource> => {
      const [last] = await client.xrevrange(stream, '+', '-', 'COUNT', 1);
      const end = start === 'latest' ? null : (last?.[0] ?? null);
      return { stream, partition, origin: 'topic', next: replayFrom(start, partition), end };
    });
    return new RedisReplay(client, await Promise.all(sources));
  }
}
