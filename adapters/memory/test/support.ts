import type {
  Adapter,
  AdapterSubscription,
  Clock,
  Delivery,
  Destination,
  OutgoingMessage,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import { partitionOf } from '@waybill/core/adapter';
import { memory, MemoryBroker, type MemoryOptions } from '../src/index.ts';

export const signal: AbortSignal = new AbortController().signal;

/** Time that passes only when told. */
class ManualClock implements Clock {
  time = 1_000;
  #timers: { at: number; callback: () => void }[] = [];

  now(): number {
    return 1_700_000_000_000 + this.time;
  }

  monotonic(): number {
    return this.time;
  }

  setTimer(callback: () => void, ms: number): { cancel(): void } {
    const timer = { at: this.time + ms, callback };
    this.#timers.push(timer);
    return { cancel: () => (this.#timers = this.#timers.filter((one) => one !== timer)) };
  }

  get pending(): number {
    return this.#timers.length;
  }

  /** Passes time, fires what is due in order, and lets the event loop turn. */
  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.time = Math.max(this.time, next.at);
      next.callback();
      await turns();
    }
    this.time = end;
    await turns();
  }
}

/** Lets everything happen that needs no time. */
export async function turns(count = 4): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export function topic(name: string, partitions: number | null = null): Destination {
  return { kind: 'topic', name, topic: name, group: null, partitions, ordered: partitions !== null, address: null };
}

export function inbox(of: Destination, group: string): Destination {
  return { ...of, kind: 'inbox', name: `${of.name}__${group}__retry`, group, address: null };
}

export function deadLetters(of: Destination, group: string): Destination {
  return { ...topic(`${of.name}__${group}__dlq`), kind: 'dead-letter', topic: of.name, group };
}

let sent = 0;

export function message(text: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const id = more.id ?? `id-${++sent}`;
  return {
    id,
    sendId: id,
    time: 1_700_000_000_000,
    key: null,
    type: null,
    source: null,
    contentType: 'text/plain',
    headers: Object.create(null) as Record<string, string>,
    control: null,
    body: Buffer.from(text),
    partition: null,
    delay: 0,
    ...more,
  };
}

export function keyed(text: string, key: string, partitions: number): OutgoingMessage {
  return message(text, { key, partition: partitionOf(key, partitions) });
}

/** An item that must be there. */
export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`no item ${index} in a list of ${list.length}`);
  return item;
}

export const text = (delivery: { readonly body: Uint8Array }): string => Buffer.from(delivery.body).toString();
export const texts = (deliveries: readonly { readonly body: Uint8Array }[]): string[] => deliveries.map(text);
export const receipts = (deliveries: readonly Delivery[]): unknown[] => deliveries.map(({ receipt }) => receipt);

export interface Member extends AdapterSubscription {
  readonly revoked: (readonly number[])[];
  readonly lost: (readonly number[])[];
  readonly assigned: (readonly number[])[];
}

export class Bench {
  readonly clock = new ManualClock();
  readonly broker: MemoryBroker;
  readonly adapters: Adapter[] = [];

  constructor(options: MemoryOptions = {}) {
    this.broker = new MemoryBroker({ clock: this.clock, ...options });
  }

  async adapter(options: MemoryOptions = {}): Promise<Adapter> {
    const adapter = memory({ ...options, broker: this.broker });
    this.adapters.push(adapter);
    await adapter.connect(signal);
    return adapter;
  }

  async provision(adapter: Adapter, destination: Destination, ...groups: string[]): Promise<void> {
    await adapter.provision(
      {
        topology: 'create',
        destination,
        retention: null,
        groups: groups.map((group) => ({ group, address: null, start: 'held', inbox: inbox(destination, group) })),
      },
      signal,
    );
  }

  async subscribe(adapter: Adapter, destination: Destination, spec: Partial<SubscriptionSpec> = {}): Promise<Member> {
    const revoked: (readonly number[])[] = [];
    const lost: (readonly number[])[] = [];
    const assigned: (readonly number[])[] = [];
    const group = spec.group ?? 'g';
    const subscription = await adapter.subscribe(
      {
        destination,
        group,
        groupAddress: null,
        inbox: spec.bounded === true ? null : inbox(destination, group),
        consumer: 'c',
        prefetch: 1_000,
        lease: 30_000,
        start: 'held',
        bounded: false,
        filter: null,
        transactional: false,
        onRevoked: (partitions) => {
          revoked.push(partitions);
          return Promise.resolve();
        },
        onLost: (partitions) => lost.push(partitions),
        onAssigned: (partitions) => assigned.push(partitions),
        ...spec,
      },
      signal,
    );
    await turns();
    return Object.assign(subscription, { revoked, lost, assigned });
  }

  /** What is there now: a receive that lets a poll time pass when nothing is. */
  async take(subscription: AdapterSubscription, max = 1_000): Promise<Delivery[]> {
    const receiving = subscription.receive(max, signal);
    let done = false;
    const settled = receiving.finally(() => (done = true)).catch(() => {});
    await turns();
    if (!done) await this.clock.pass(1_000);
    await settled;
    return receiving;
  }

  /** One topic, one group, one adapter. */
  async one(
    partitions: number | null = null,
    options: MemoryOptions = {},
  ): Promise<{ adapter: Adapter; orders: Destination; g: Member }> {
    const adapter = await this.adapter(options);
    const orders = topic('orders', partitions);
    await this.provision(adapter, orders, 'g');
    return { adapter, orders, g: await this.subscribe(adapter, orders) };
  }
}
