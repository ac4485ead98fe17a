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
  rank,
  type SendOutcome,
  type SubscriptionSpec,
  type Supports,
  WaybillError,
} from '@waybill/core/adapter';
import { Connection, inspect } from './connection.ts';
import { classify } from './errors.ts';
import { browseQueue, lagOf } from './inspection.ts';
import { queuesOf } from './names.ts';
import type { Settings } from './options.ts';
import { OrderedSubscription } from './ordered.ts';
import { Outlived } from './outlived.ts';
import { Publishing } from './publish.ts';
import { RabbitSubscription } from './subscription.ts';
import { supportsOf } from './supports.ts';
import { Topology } from './topology.ts';

type Open = AdapterSubscription & { readonly closed: boolean; readonly unsettled: number };

/** One for publishing, one for consuming: a server that is short of memory stops the first, and must not stop the acks. */
interface Connections {
  readonly publishing: Connection;
  readonly consuming: Connection;
  readonly lanes: Publishing;
}

export class RabbitAdapter implements Adapter {
  readonly name = 'rabbitmq';
  readonly supports: Supports;
  readonly #settings: Settings;
  readonly #topology: Topology;
  /** By the first of the queues that they read. */
  readonly #subscriptions = new Map<Open, string>();
  readonly #outlived = new Outlived();
  #connections: Connections | null = null;
  #closed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#topology = new Topology(settings);
    this.supports = supportsOf(settings);
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    if (this.#closed) throw closed();
    await this.#hangUp();
    const dialed = await Promise.allSettled(
      ['publish', 'consume'].map((role) => Connection.dial(this.#settings, role, signal)),
    );
    const [publishing, consuming] = dialed.map((one) => (one.status === 'fulfilled' ? one.value : null));
    try {
      const failed = dialed.find((one) => one.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      if (publishing === null || publishing === undefined || consuming === null || consuming === undefined)
        throw closed();
      const facts = inspect(publishing, this.#settings);
      if (this.#closed) throw closed();
      this.#connections = { publishing, consuming, lanes: new Publishing(publishing) };
      return facts;
    } catch (error) {
      await Promise.all([publishing?.close(), consuming?.close()]);
      throw error;
    }
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    return this.#live().lanes.publish(destination, messages, signal);
  }

  async subscribe(spec: SubscriptionSpec): Promise<AdapterSubscription> {
    const { consuming: connection } = this.#live();
    const outlived = this.#outlived;
    const { destination, group, groupAddress, inbox, consumer } = spec;
    const counted = this.supports.settle.deliveryCount.by !== 'refused';
    const spread = this.supports.order.spread.by !== 'refused';
    const sources = queuesOf(destination, group, groupAddress).map((one) => ({
      ...one,
      inbox: inbox?.name ?? null,
      counted,
      suspect: spec.suspect ?? Infinity,
      priority: spread ? rank(consumer, one.partition) : null,
    }));
    const [first] = sources;
    if (first === undefined) throw new WaybillError('invalid', `rabbitmq: '${destination.name}' has no partitions`);
    const subscription =
      destination.partitions === null
        ? await RabbitSubscription.open({ connection, spec, source: first, outlived })
        : await OrderedSubscription.open({ connection, spec, sources, outlived });
    for (const old of this.#subscriptions.keys()) if (old.closed) this.#subscriptions.delete(old);
    this.#subscriptions.set(subscription, first.queue);
    return subscription;
  }

  async provision(spec: ProvisionSpec, signal: AbortSignal): Promise<void> {
    await this.#topology.provision(this.#live().consuming, spec, signal);
  }

  classify(error: unknown): ErrorCode {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions.keys()].map((subscription) => subscription.close()));
    this.#subscriptions.clear();
    await this.#hangUp();
  }

  async lag(destination: Destination, group: string, groupAddress: string | null): Promise<Lag> {
    const [first] = queuesOf(destination, group, groupAddress);
    let unsettled = 0;
    for (const [subscription, queue] of this.#subscriptions)
      if (queue === first?.queue) unsettled += subscription.unsettled;
    return lagOf(this.#live().consuming, destination, group, groupAddress, unsettled);
  }

  async browse(destination: Destination, _from: Position | null, max: number): Promise<readonly BrowsedMessage[]> {
    return browseQueue(this.#live().consuming, destination, max);
  }

  async #hangUp(): Promise<void> {
    const connections = this.#connections;
    this.#connections = null;
    await Promise.all([connections?.publishing.close(), connections?.consuming.close()]);
  }

  #live(): Connections {
    if (this.#closed) throw closed();
    const connections = this.#connections;
    if (connections === null) throw new WaybillError('disconnected', 'rabbitmq: not connected');
    for (const connection of [connections.publishing, connections.consuming])
      if (!connection.alive)
        throw new WaybillError('disconnected', `rabbitmq: ${connection.error.message}`, { cause: connection.error });
    return connections;
  }
}

function closed(): WaybillError {
  return new WaybillError('closed', 'rabbitmq: the adapter is closed');
}
