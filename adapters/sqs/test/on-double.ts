import { Buffer } from 'node:buffer';
import type { Adapter, AdapterSubscription, Delivery, Destination, OutgoingMessage } from '@waybill/core/adapter';
import { type SqsCall, SqsDouble, type SqsDoubleOptions } from '@waybill/testbed';
import { sqs, sqsFifo, type SqsOptions } from '../src/index.ts';

const never = new AbortController().signal;

/** The adapter on a double, with one topic, `orders`. */
export class OnDouble implements AsyncDisposable {
  readonly double: SqsDouble;
  readonly fifo: boolean;
  readonly #made: Adapter[] = [];
  #next = 0;

  private constructor(double: SqsDouble, fifo: boolean) {
    this.double = double;
    this.fifo = fifo;
  }

  static async open(kind: 'sqs' | 'sqs-fifo', options: SqsDoubleOptions = {}): Promise<OnDouble> {
    return new OnDouble(await SqsDouble.start({ shuffles: false, ...options }), kind === 'sqs-fifo');
  }

  /** Connected. */
  async adapter(options: SqsOptions = {}): Promise<Adapter> {
    const url = this.double.endpoint.replace('http', `sqs${this.fifo ? '-fifo' : ''}+http`);
    const adapter = (this.fifo ? sqsFifo : sqs)({ url, groupRefresh: 0, ...options });
    this.#made.push(adapter);
    await adapter.connect(never);
    return adapter;
  }

  get topic(): Destination {
    return this.#destination('topic', 'orders', null);
  }

  get deadLetters(): Destination {
    return { ...this.#destination('dead-letter', 'orders__inventory__dlq', 'inventory'), ordered: false };
  }

  #destination(kind: Destination['kind'], name: string, group: string | null): Destination {
    return { kind, name, topic: 'orders', group, partitions: null, ordered: this.fifo, address: null };
  }

  queueName(group: string): string {
    return `orders__${group}${this.fifo ? '.fifo' : ''}`;
  }

  provision(adapter: Adapter, groups: readonly string[], topology: 'create' | 'verify' = 'create'): Promise<void> {
    const specs = groups.map((group) => ({ group, address: null, start: 'held' as const, inbox: null }));
    return adapter.provision({ topology, destination: this.topic, retention: null, groups: specs }, never);
  }

  message(key: string | null, over: Partial<OutgoingMessage> = {}): OutgoingMessage {
    const id = `m${++this.#next}`;
    return {
      id, sendId: id, time: 1, key, type: null, source: null, contentType: null, headers: {}, control: null,
      body: Buffer.from(id), partition: null, delay: 0, ...over,
    }; // prettier-ignore
  }

  /** What became of each, as `confirmed` or `rejected invalid`. */
  async publish(adapter: Adapter, messages: readonly OutgoingMessage[], to = this.topic): Promise<string[]> {
    const outcomes = await adapter.publish(to, messages, never);
    return outcomes.map((one) => ('error' in one ? `${one.status} ${adapter.classify(one.error)}` : one.status));
  }

  subscribe(adapter: Adapter, group: string, lease = 30_000): Promise<AdapterSubscription> {
    return adapter.subscribe(
      {
        destination: this.topic, group, groupAddress: null, inbox: null, consumer: 'c', prefetch: 100, lease,
        start: 'held', bounded: false, filter: null, transactional: false, onRevoked: () => Promise.resolve(), onLost: () => undefined,
        onAssigned: () => undefined,
      },
      never,
    ); // prettier-ignore
  }

  /** Receives until so many have come. */
  async take(subscription: AdapterSubscription, count: number, max = count): Promise<Delivery[]> {
    const taken: Delivery[] = [];
    while (taken.length < count) taken.push(...(await subscription.receive(max, never)));
    return taken;
  }

  calls(operation: string): readonly SqsCall[] {
    return this.double.callsOf(operation);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#made.map((adapter) => adapter.close()));
    await this.double[Symbol.asyncDispose]();
  }
}

/** The entries of batch calls, call by call. */
export function entriesOf(calls: readonly SqsCall[]): readonly (readonly Record<string, unknown>[])[] {
  return calls.map(({ input }) => input['Entries'] as Record<string, unknown>[]);
}

export { never };
