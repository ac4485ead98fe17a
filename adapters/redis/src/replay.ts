import type { AdapterSubscription, Delivery, Receipt } from '@waybill/core/adapter';
import type { Redis } from 'ioredis';
import { deliveryOf, type EntryReceipt } from './delivery.ts';
import type { Entry } from './entry.ts';

const source = { origin: 'topic' } as const;
const idIn = (receipt: Receipt): string => (receipt as EntryReceipt<typeof source>).id;

/** Reads what is stored from one id to another, without a group: nothing is pending, so nothing can be lost or settled. */
export class RedisReplay implements AdapterSubscription {
  ended = false;
  reserved = 0;
  readonly #client: Redis;
  readonly #stream: string;
  readonly #end: string | null;
  #next: string;
  #back: Delivery[] = [];
  #out = new Map<string, Delivery>();
  #exhausted: boolean;

  /** @param next As XRANGE takes it. @param end The last id; null when nothing is stored. */
  constructor(client: Redis, stream: string, next: string, end: string | null) {
    this.#client = client;
    this.#stream = stream;
    this.#next = next;
    this.#end = end;
    this.#exhausted = end === null;
    this.#judge();
  }

  async receive(max: number): Promise<Delivery[]> {
    if (this.#back.length > 0) return this.#hand(this.#back.splice(0, max));
    if (this.#exhausted) return [];
    this.reserved = max;
    try {
      const entries = await this.#client.xrangeBuffer(this.#stream, this.#next, this.#end as string, 'COUNT', max);
      this.#exhausted = entries.length < max;
      if (entries.length > 0) this.#next = `(${(entries.at(-1) as Entry)[0].toString()}`;
      return this.#hand(entries.map((entry) => deliveryOf(entry, source, 1, null)));
    } finally {
      this.reserved = 0;
      this.#judge();
    }
  }

  ack(receipts: readonly Receipt[]): Promise<readonly 'ok'[]> {
    for (const receipt of receipts) this.#out.delete(idIn(receipt));
    return Promise.resolve(receipts.map(() => 'ok'));
  }

  nack(receipts: readonly Receipt[]): Promise<void> {
    for (const receipt of receipts) {
      const delivery = this.#out.get(idIn(receipt));
      if (delivery !== undefined) this.#back.unshift({ ...delivery, deliveryCount: (delivery.deliveryCount ?? 1) + 1 });
    }
    this.#judge();
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #hand(deliveries: Delivery[]): Delivery[] {
    for (const delivery of deliveries) this.#out.set(idIn(delivery.receipt), delivery);
    this.#judge();
    return deliveries;
  }

  #judge(): void {
    this.ended = this.#exhausted && this.#back.length === 0;
  }
}
