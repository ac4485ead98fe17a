import { randomUUID } from 'node:crypto';
import {
  type Adapter,
  decodeWire,
  type Destination,
  encodeWire,
  type OutgoingMessage,
  partitionOf,
  type ProvisionSpec,
} from '@waybill/core/adapter';
import { memory, type MemoryBroker } from '@waybill/memory';

type MemorySubscription = MemoryBroker['connections'][number]['subscriptions'] extends Set<infer S> ? S : never;
import { userTopic } from '../connection.ts';
import { NotAble, type RawRecord, type Spy } from '../target.ts';

/** Looks into a memory broker from outside: by an adapter of its own, without core. */
export class MemorySpy implements Spy {
  readonly #broker: MemoryBroker;
  readonly #known = new Map<string, ProvisionSpec>();
  #own: Adapter | null = null;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
  }

  /** The same adapter, whose destinations the spy learns: the broker does not list them. */
  watch(adapter: Adapter): Adapter {
    const provision = adapter.provision.bind(adapter);
    return Object.assign(adapter, {
      provision: (spec: ProvisionSpec, signal: AbortSignal): Promise<void> => {
        this.#known.set(`${spec.destination.name} ${spec.groups.map(({ group }) => group).join()}`, spec);
        return provision(spec, signal);
      },
    });
  }

  async objects(part: string): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const { destination, groups } of this.#known.values()) {
      const store = this.#broker.find(destination);
      if (store === undefined) continue;
      names.add(store.name);
      for (const name of store.groups.keys()) names.add(`${store.name}__${name}`);
      for (const { inbox } of groups) {
        const stored = inbox === null ? undefined : this.#broker.find(inbox);
        if (stored !== undefined) names.add(stored.name);
      }
    }
    return [...names].filter((name) => name.includes(part)).toSorted((a, b) => (a < b ? -1 : 1));
  }

  async depth(topic: string, group: string): Promise<number> {
    const adapter = await this.#adapter();
    return (await adapter.lag?.(this.#find('topic', topic, null), group, null))?.count ?? 0;
  }

  async inFlight(topic: string, group: string): Promise<number> {
    return this.#attached(topic, group).reduce((sum, { held }) => sum + held, 0);
  }

  async consumers(topic: string, group: string): Promise<number> {
    return this.#attached(topic, group).length;
  }

  async deadLetters(topic: string, group: string): Promise<readonly RawRecord[]> {
    const adapter = await this.#adapter();
    const found = (await adapter.browse?.(this.#find('dead-letter', topic, group), null, 10_000)) ?? [];
    return found.map((message) => {
      const headers: Record<string, string | Uint8Array> = Object.create(null) as Record<string, string | Uint8Array>;
      for (const [name, value] of encodeWire(message)) headers[name] = value;
      return { body: message.body, headers, key: message.key };
    });
  }

  async put(topic: string, { body, headers, key = null }: RawRecord): Promise<void> {
    const adapter = await this.#adapter();
    const destination = this.#find('topic', topic, null);
    const said = decodeWire(Object.entries(headers));
    const message: OutgoingMessage = {
      ...said,
      id: said.id ?? randomUUID(),
      time: said.time ?? Date.now(),
      key: key ?? said.key,
      body,
      sendId: randomUUID(),
      partition: destination.partitions === null || key === null ? null : partitionOf(key, destination.partitions),
      delay: 0,
    };
    const [outcome] = await adapter.publish(destination, [message], new AbortController().signal);
    if (outcome?.status !== 'confirmed') throw new Error(`the spy's message was ${outcome?.status ?? 'lost'}`);
  }

  async close(): Promise<void> {
    await this.#own?.close();
  }

  #attached(topic: string, group: string): MemorySubscription[] {
    return this.#broker.connections
      .flatMap(({ subscriptions }) => [...subscriptions])
      .filter(({ spec }) => {
        const { destination } = spec;
        return destination.kind === 'topic' && userTopic(destination) === topic && spec.group === group;
      });
  }

  /** Connected anew for each look: a fault may have cut the connection meanwhile. */
  async #adapter(): Promise<Adapter> {
    this.#own ??= memory({ broker: this.#broker });
    await this.#own.connect(new AbortController().signal);
    return this.#own;
  }

  #find(kind: Destination['kind'], topic: string, group: string | null): Destination {
    for (const { destination } of this.#known.values()) {
      if (destination.kind === kind && userTopic(destination) === topic && destination.group === group)
        return destination;
    }
    throw new NotAble(`nobody has provisioned the ${kind} of ${topic}`);
  }
}
