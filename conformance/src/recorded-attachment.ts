import type { Delivery, Receipt, SubscriptionSpec } from '@waybill/core/adapter';
import { type Connection, userTopic } from './connection.ts';

/** The history's side of one attachment: numbers its arrivals and finds them again by their receipts. */
export class RecordedAttachment {
  /** The spec to hand on: its callbacks leave events. */
  readonly spec: SubscriptionSpec;
  readonly #connection: Connection;
  readonly #topic: string;
  readonly #group: string;
  readonly #consumer: string;
  readonly #cumulative: boolean;
  readonly #deadLetters: boolean;
  readonly #number: number;
  readonly #receipts = new Map<Receipt, { arrival: number; partition: number; delivery: Delivery }>();
  #detached = false;

  constructor(spec: SubscriptionSpec, connection: Connection, cumulative: boolean) {
    this.#connection = connection;
    this.#cumulative = cumulative;
    this.#topic = userTopic(spec.destination);
    this.#group = spec.group;
    this.#deadLetters = spec.destination.kind === 'dead-letter';
    const named = this.#deadLetters ? undefined : connection.consumers.get(`${this.#topic}/${this.#group}`);
    this.#consumer = named ?? spec.consumer;
    this.#number = connection.recorder.nextAttachment();
    connection.attachments.add(this);
    this.spec = {
      ...spec,
      onAssigned: (partitions): void => {
        this.#ownership('assigned', partitions);
        spec.onAssigned(partitions);
      },
      onRevoked: async (partitions): Promise<void> => {
        this.#ownership('revoked', partitions);
        await spec.onRevoked(partitions);
      },
      onLost: (partitions): void => {
        this.#ownership('lost-partitions', partitions);
        spec.onLost(partitions);
      },
    };
  }

  arrived(deliveries: readonly Delivery[]): void {
    const { recorder, name: bus } = this.#connection;
    for (const delivery of deliveries) {
      const arrival = recorder.nextArrival();
      const { id, key, origin, partition, position, deliveryCount, fence, receipt, raw, body } = delivery;
      this.#receipts.set(receipt, { arrival, partition, delivery });
      if (!this.#deadLetters) this.#connection.arrived(this.#topic, this.#group, id, raw, arrival);
      recorder.record({
        type: 'arrive',
        arrival,
        attachment: this.#number,
        bus,
        topic: this.#topic,
        group: this.#group,
        consumer: this.#consumer,
        origin: this.#deadLetters ? 'dead-letter' : origin,
        id,
        key,
        partition,
        position,
        deliveryCount,
        fence,
        bytes: body.byteLength,
      });
    }
  }

  /** What this consumer holds now. */
  heldBy(consumer: string): Delivery[] {
    if (this.#detached || consumer !== this.#consumer) return [];
    return [...this.#receipts.values()].map(({ delivery }) => delivery);
  }

  settling(receipts: readonly Receipt[], kind: 'ack' | 'nack'): void {
    this.#each(receipts, (arrival) => this.#record('settle.start', arrival, kind));
  }

  /** @param results Null: the call failed. */
  settled(receipts: readonly Receipt[], kind: 'ack' | 'nack', results: readonly ('ok' | 'lost')[] | null): void {
    this.#each(receipts, (arrival, index, receipt) => {
      const result = results?.[index] ?? (results === null ? 'fail' : 'ok');
      this.#record(`settle.${result}`, arrival, kind);
      if (result !== 'fail') this.#forget(receipt);
    });
  }

  detached(): void {
    if (this.#detached || this.#connection.severed) return;
    this.#detached = true;
    this.#connection.attachments.delete(this);
    this.#connection.recorder.record({ type: 'detached', attachment: this.#number, consumer: this.#consumer });
  }

  #each(receipts: readonly Receipt[], use: (arrival: number, index: number, receipt: Receipt) => void): void {
    if (this.#connection.severed) return;
    for (const [index, receipt] of receipts.entries()) {
      const known = this.#receipts.get(receipt);
      if (known !== undefined) use(known.arrival, index, receipt);
    }
  }

  #record(
    type: 'settle.start' | 'settle.ok' | 'settle.lost' | 'settle.fail',
    arrival: number,
    kind: 'ack' | 'nack',
  ): void {
    const cumulative = this.#cumulative && kind === 'ack';
    this.#connection.recorder.record({ type, arrival, kind, cumulative });
  }

  #forget(receipt: Receipt): void {
    const known = this.#receipts.get(receipt);
    this.#receipts.delete(receipt);
    if (!this.#cumulative || known === undefined) return;
    for (const [other, { arrival, partition }] of this.#receipts) {
      if (arrival >= known.arrival) break;
      if (partition === known.partition) this.#receipts.delete(other);
    }
  }

  #ownership(type: 'assigned' | 'revoked' | 'lost-partitions', partitions: readonly number[]): void {
    if (this.#connection.severed) return;
    this.#connection.recorder.record({
      type,
      bus: this.#connection.name,
      topic: this.#topic,
      group: this.#group,
      consumer: this.#consumer,
      partitions,
    });
  }
}
