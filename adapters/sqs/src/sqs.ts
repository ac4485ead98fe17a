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
  type SubscriptionSpec,
  type Supports,
  WaybillError,
} from '@waybill/core/adapter';
import { Connection } from './connection.ts';
import { classify } from './errors.ts';
import { browseQueue, lagOf } from './inspection.ts';
import { Layout } from './names.ts';
import type { Settings } from './options.ts';
import { send } from './publish.ts';
import { type Door, Sender } from './sender.ts';
import { SqsSubscription } from './subscription.ts';
import { SnsTopics } from './sns.ts';
import { MOST_BYTES, supportsOf } from './supports.ts';
import { Topology } from './topology.ts';

export class SqsAdapter implements Adapter {
  readonly name: string;
  readonly supports: Supports;
  readonly #settings: Settings;
  readonly #layout: Layout;
  readonly #connection: Connection;
  readonly #topology: Topology;
  /** Null where a topic's messages go to the queues directly. */
  readonly #sns: SnsTopics | null;
  readonly #senders = new Map<string, Sender>();
  readonly #subscriptions = new Set<SqsSubscription>();
  #closed = false;

  constructor(settings: Settings) {
    this.name = settings.name;
    this.#settings = settings;
    this.#layout = new Layout(settings);
    this.#connection = new Connection(settings);
    this.#topology = new Topology(this.#connection, this.#layout, settings);
    this.#sns =
      settings.fanout === 'sns' ? new SnsTopics(this.#connection, this.#topology, this.#layout, settings) : null;
    this.supports = supportsOf(settings);
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    this.#live();
    return this.#connection.open(signal);
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    this.#live();
    const senders = await this.#sendersTo(destination);
    if (senders.length === 0)
      throw new WaybillError(
        'not-found',
        `${this.name}: topic '${destination.name}' has no group, so nothing would hold the message; name its groups in topics.<name>.groups, or subscribe to it first`,
      );
    return send(destination, messages, senders, this.#settings.fifo, signal);
  }

  async subscribe(spec: SubscriptionSpec): Promise<AdapterSubscription> {
    this.#live();
    const queue = this.#layout.source(spec.destination, spec.group, spec.groupAddress);
    await this.#topology.url(queue);
    const subscription = new SqsSubscription({ topology: this.#topology, queue, spec, settings: this.#settings });
    for (const old of this.#subscriptions) if (old.closed) this.#subscriptions.delete(old);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async provision(spec: ProvisionSpec, signal: AbortSignal): Promise<void> {
    this.#live();
    await this.#topology.provision(spec, signal);
    if (spec.destination.kind === 'topic' && spec.topology !== 'none') await this.#sns?.provision(spec, signal);
  }

  classify(error: unknown): ErrorCode {
    return classify(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#subscriptions.clear();
    this.#connection.close();
  }

  async lag(destination: Destination, group: string, groupAddress: string | null): Promise<Lag> {
    this.#live();
    return lagOf(this.#topology, this.#layout.source(destination, group, groupAddress));
  }

  async browse(destination: Destination, _from: Position | null, max: number): Promise<readonly BrowsedMessage[]> {
    this.#live();
    if (destination.kind !== 'dead-letter')
      throw new WaybillError('unsupported', `${this.name}: to look at '${destination.name}' would disturb its group`);
    return browseQueue(this.#topology, this.#layout.only(destination), max, this.#settings);
  }

  #live(): void {
    if (this.#closed) throw new WaybillError('closed', `${this.name}: the adapter is closed`);
  }

  async #sendersTo(destination: Destination): Promise<Sender[]> {
    if (this.#sns !== null && destination.kind === 'topic') {
      const found = await this.#sns.door(destination);
      return found === null ? [] : [this.#senderOf(found.arn, found.door)];
    }
    const queues = await this.#topology.targets(destination);
    return queues.map((queue) =>
      this.#senderOf(queue, {
        mostBytes: MOST_BYTES,
        post: (entries) => this.#topology.call('SendMessageBatch', queue, { Entries: [...entries] }),
      }),
    );
  }

  #senderOf(name: string, door: Door): Sender {
    let sender = this.#senders.get(name);
    if (sender === undefined) this.#senders.set(name, (sender = new Sender(door)));
    return sender;
  }
}
