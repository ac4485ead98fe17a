import type { AdapterSubscription, Delivery, Receipt } from '@waybill/core/adapter';
import type { Client } from './connection.ts';
import { deliveryOf, type EntryReceipt, type Origin } from './delivery.ts';
import type { Entry } from './entry.ts';

/** One stream of a replay. */
export interface ReplaySource extends Origin {
  readonly stream: string;
  /** As XRANGE takes it. */
  next: string;
  /** The last id to hand out; null when everything was, or nothing is stored. */
  end: string | null;
}

type ReplayReceipt = EntryReceipt<ReplaySource>;
type ReplayDelivery = Delivery & { readonly receipt: ReplayReceipt };

/** Reads what is stored from one id to another, without a group: nothing is pending, so nothing can be lost or settled. */
export class RedisReplay implements AdapterSubscription {
  ended = false;
  reserved = 0;
  readonly closed = false;
  readonly #client: Client;
  readonly #sources: ReplaySource[];
  #back: ReplayDelivery[] = [];
  readonly #out = new Map<Receipt, ReplayDelivery>();

  constructor(client: Client, sources: readonly ReplaySource[]) {
    this.#client = client;
    this.#sources = [...sources];
    this.#judge();
  }

  async receive(max: number, _signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]> {
    const again: ReplayDelivery[] = [];
    this.#back = this.#back.filter((one) => again.length === max || skip?.has(one.partition) || !again.push(one));
    if (again.length > 0) return this.#hand(again);
    // What is given back comes first, or its key would be out of order.
    const held = new Set(this.#back.map(({ partition }) => partition));
    const source = this.#sources.find(
      ({ end, partition }) => end !== null && skip?.has(partition) !== true && !held.has(partition),
    );
    if (source === undefined) return this.#nothing();
    this.#sources.push(...this.#sources.splice(this.#sources.indexOf(source), 1)); // the others have their turn
    this.reserved = max;
    try {
      const { stream, next, end } = source;
      const entries: Entry[] = await this.#client.xrangeBuffer(stream, next, end ?? '-', 'COUNT', max);
      if (entries.length > 0) source.next = `(${(entries.at(-1) as Entry)[0].toString()}`;
      if (entries.length < max) source.end = null;
      return this.#hand(entries.map((entry) => deliveryOf(entry, { source, id: entry[0].toString() }, 1, null)));
    } finally {
      this.reserved = 0;
      this.#judge();
    }
  }

  ack(receipts: readonly Receipt[]): Promise<readonly 'ok'[]> {
    for (const receipt of receipts) this.#out.delete(receipt);
    return Promise.resolve(receipts.map(() => 'ok'));
  }

  nack(receipts: readonly Receipt[]): Promise<void> {
    for (const receipt of receipts) {
      const delivery = this.#out.get(receipt);
      if (delivery !== undefined) this.#back.unshift({ ...delivery, deliveryCount: (delivery.deliveryCount ?? 1) + 1 });
    }
    this.#judge();
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Only partitions that core has put aside are left: it asks again. */
  async #nothing(): Promise<Delivery[]> {
    if (!this.ended) await new Promise((resolve) => setTimeout(resolve, 20));
    return [];
  }

  #hand(deliveries: ReplayDelivery[]): Delivery[] {
    for (const delivery of deliveries) this.#out.set(delivery.receipt, delivery);
    this.#judge();
    return deliveries;
  }

  #judge(): void {
    this.ended = this.#back.length === 0 && this.#sources.every(({ end }) => end === null);
  }
}
