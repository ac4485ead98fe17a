import {
  type Adapter,
  type AdapterSubscription,
  type BrowsedMessage,
  type Delivery,
  type Destination,
  type Facts,
  type Lag,
  type OutgoingMessage,
  type Output,
  type Position,
  type ProvisionSpec,
  type Receipt,
  type SendOutcome,
  type StartPosition,
  type SubscriptionSpec,
  type Supports,
  WaybillError,
} from '@waybill/core/adapter';
import { type Connection, userTopic } from './connection.ts';
import { RecordedAttachment } from './recorded-attachment.ts';

/**
 * Passes everything on and records what crosses the contract: sends, arrivals, settles, ownership. It has exactly the
 * optional methods of the adapter it wraps, so it changes no verdict. A severed one reaches the broker no more.
 */
export function recordAdapter(inner: Adapter, connection: Connection): Adapter {
  const recorded = new RecordedAdapter(inner, connection);
  const optional: Partial<Adapter> = {};
  if (inner.lag !== undefined) optional.lag = (...args): Promise<Lag> => live(connection, () => inner.lag?.(...args));
  if (inner.reset !== undefined)
    optional.reset = (...args): Promise<void> => live(connection, () => inner.reset?.(...args));
  if (inner.browse !== undefined)
    optional.browse = (...args: [Destination, Position | null, number]): Promise<readonly BrowsedMessage[]> =>
      live(connection, () => inner.browse?.(...args));
  if (inner.oldest !== undefined)
    optional.oldest = (...args): Promise<number | null> => live(connection, () => inner.oldest?.(...args));
  return Object.assign(recorded, optional);
}

async function live<T>(connection: Connection, call: () => Promise<T> | undefined): Promise<T> {
  if (connection.severed) throw severedError();
  return (await call()) as T;
}

function severedError(): WaybillError {
  return new WaybillError('disconnected', 'the case has crashed this consumer');
}

class RecordedAdapter implements Adapter {
  readonly #inner: Adapter;
  readonly #connection: Connection;

  constructor(inner: Adapter, connection: Connection) {
    this.#inner = inner;
    this.#connection = connection;
  }

  get name(): string {
    return this.#inner.name;
  }

  get supports(): Supports {
    return this.#inner.supports;
  }

  async connect(signal: AbortSignal): Promise<Facts> {
    const facts = await live(this.#connection, () => this.#inner.connect(signal));
    this.#connection.facts = facts;
    return facts;
  }

  async publish(
    destination: Destination,
    messages: readonly OutgoingMessage[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const began = performance.now();
    const record = (outcomes: readonly string[]): void =>
      recordSend(this.#connection, destination, messages, outcomes, began);
    try {
      const outcomes = await live(this.#connection, () => this.#inner.publish(destination, messages, signal));
      record(outcomes.map((outcome) => outcome.status));
      return outcomes;
    } catch (error) {
      record(messages.map(() => 'rejected')); // by contract: nothing at all was attempted
      throw error;
    }
  }

  async subscribe(spec: SubscriptionSpec, signal: AbortSignal): Promise<AdapterSubscription> {
    const attachment = new RecordedAttachment(spec, this.#connection, this.supports.settle.mode === 'cumulative');
    const inner = await live(this.#connection, () => this.#inner.subscribe(attachment.spec, signal));
    return recordSubscription(inner, attachment, this.#connection);
  }

  provision(spec: ProvisionSpec, signal: AbortSignal): Promise<void> {
    return live(this.#connection, async () => {
      await this.#inner.provision(spec, signal);
      const { kind } = spec.destination;
      const topic = userTopic(spec.destination);
      if (this.#connection.severed) return;
      this.#connection.recorder.record({
        type: 'provision',
        kind,
        topic,
        groups: spec.groups.map(({ group }) => group),
      });
      if (kind !== 'topic') return;
      for (const { group } of spec.groups) this.#connection.recorder.record({ type: 'group.ready', topic, group });
    });
  }

  classify(error: unknown): ReturnType<Adapter['classify']> {
    return error instanceof WaybillError ? error.code : this.#inner.classify(error);
  }

  async close(): Promise<void> {
    if (!this.#connection.severed) await this.#inner.close();
  }
}

function recordSend(
  { severed, recorder, name: bus }: Connection,
  destination: Destination,
  messages: readonly OutgoingMessage[],
  outcomes: readonly string[],
  began: number,
): void {
  if (severed) return;
  const { kind, group } = destination;
  const ids = messages.map((message) => message.id);
  const sendIds = messages.map((message) => message.sendId);
  recorder.record({ type: 'send', bus, kind, topic: userTopic(destination), group, ids, sendIds, outcomes, began });
}

/** Each with an outcome of its own, though they share it. */
function recordOutputs(connection: Connection, outputs: readonly Output[], outcome: string, began: number): void {
  for (const { destination, message } of outputs) recordSend(connection, destination, [message], [outcome], began);
}

function recordSubscription(
  inner: AdapterSubscription,
  attachment: RecordedAttachment,
  connection: Connection,
): AdapterSubscription {
  const settle = async <T>(
    receipts: readonly Receipt[],
    kind: 'ack' | 'nack',
    call: () => Promise<T> | undefined,
    results: (value: T) => readonly ('ok' | 'lost')[],
  ): Promise<T> => {
    attachment.settling(receipts, kind);
    try {
      const value = await live(connection, call);
      attachment.settled(receipts, kind, results(value));
      return value;
    } catch (error) {
      attachment.settled(receipts, kind, null);
      throw error;
    }
  };
  const optional: Partial<AdapterSubscription> = {};
  if (inner.nack !== undefined)
    optional.nack = (receipts, options): Promise<void> =>
      settle(
        receipts,
        'nack',
        () => inner.nack?.(receipts, options),
        () => receipts.map(() => 'ok'),
      );
  if (inner.transact !== undefined)
    optional.transact = async (outputs, receipts): Promise<readonly ('ok' | 'lost')[]> => {
      const began = performance.now();
      try {
        const results = await settle(
          receipts,
          'ack',
          () => inner.transact?.(outputs, receipts),
          // Where one was lost, nothing has happened to the others.
          (value) => (value.includes('lost') ? value.map(() => 'lost') : value),
        );
        recordOutputs(connection, outputs, results.includes('lost') ? 'rejected' : 'confirmed', began);
        return results;
      } catch (error) {
        recordOutputs(connection, outputs, 'unknown', began);
        throw error;
      }
    };
  if (inner.extend !== undefined)
    optional.extend = (receipts, ms): Promise<readonly (number | 'lost')[]> =>
      live(connection, () => inner.extend?.(receipts, ms));
  if (inner.seek !== undefined)
    optional.seek = (position: StartPosition): Promise<void> => live(connection, () => inner.seek?.(position));
  const recorded: AdapterSubscription = {
    get reserved(): number {
      return inner.reserved;
    },
    get ended(): boolean {
      return inner.ended === true;
    },
    async receive(max: number, signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]> {
      try {
        const deliveries = await live(connection, () => inner.receive(max, signal, skip));
        // A dead process has read nothing; what the broker gave it stays unsettled.
        if (connection.severed) throw severedError();
        attachment.arrived(deliveries);
        return deliveries;
      } catch (error) {
        attachment.detached();
        throw error;
      }
    },
    ack: (receipts): Promise<readonly ('ok' | 'lost')[]> =>
      settle(
        receipts,
        'ack',
        () => inner.ack(receipts),
        (value) => value,
      ),
    async close(): Promise<void> {
      if (!connection.severed) await inner.close();
      attachment.detached();
    },
  };
  return Object.defineProperties(optional, Object.getOwnPropertyDescriptors(recorded)) as AdapterSubscription;
}
