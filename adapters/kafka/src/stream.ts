import type { Delivery } from '@waybill/core/adapter';
import { KafkaDelivery, OffsetReceipt } from './delivery.ts';
import type { FetchedPartition } from './fetched.ts';
import { readable, Records } from './records.ts';

/** Most deliveries of one partition from the first unsettled to the last: a stuck head must not let receipts pile up. */
const SPAN = 10_000;

export interface StreamOptions {
  readonly topic: string;
  readonly partition: number;
  readonly origin: Delivery['origin'];
  /** The first offset to read. */
  readonly from: bigint;
  /** The first offset not to read; null: everything that comes. */
  readonly end: bigint | null;
}

/**
 * One partition while it is read: the position, and what was fetched and not handed out. It has one life, an assignment
 * or until a seek; receipts of a stream that is no longer read settle nothing.
 */
export class Stream {
  readonly topic: string;
  readonly partition: number;
  readonly origin: Delivery['origin'];
  readonly end: bigint | null;
  /** The offset to fetch next. */
  position: bigint;
  /** What the group has settled, as far as asked for, and as the broker has confirmed. */
  settled: bigint;
  committed: bigint;
  /**
   * The last fetch brought nothing though there is something: it had no room for so large a batch beside those of other
   * partitions. A fetch of this partition alone has.
   */
  starved = false;
  /** False once it is not read any more. */
  live = true;
  /** False once what was handed out can no longer be settled. */
  owned = true;
  readonly #records = new Records();
  #handed = 0;
  #acked = 0;

  constructor({ topic, partition, origin, from, end }: StreamOptions) {
    this.topic = topic;
    this.partition = partition;
    this.origin = origin;
    this.position = from;
    this.settled = from;
    this.committed = from;
    this.end = end;
  }

  /** Bytes that wait here. */
  get bytes(): number {
    return this.#records.bytes;
  }

  /** Whether there is something to hand out. */
  get waiting(): boolean {
    return this.#records.more;
  }

  /** Everything up to its end was fetched and handed out. */
  get ended(): boolean {
    return this.end !== null && this.position >= this.end && !this.waiting;
  }

  /** Everything that was handed out is settled. */
  get idle(): boolean {
    return !this.waiting && this.#handed === this.#acked;
  }

  /** Takes what a fetch from `position` brought. Returns whether the position moved. */
  add(found: FetchedPartition): boolean {
    const last = found.batches.at(-1);
    if (last === undefined) {
      // If it brings nothing alone either, the others have their turn again before the next try.
      this.starved = !this.starved && this.position < found.readable;
      return false;
    }
    this.starved = false;
    this.#records.push(readable(found), this.position, this.end);
    // Behind the last record there may be others that nobody is handed: control records, those removed by compaction.
    this.position = last.base + BigInt(last.lastDelta) + 1n;
    if (this.idle && this.position > this.settled) this.settled = this.position;
    return true;
  }

  /** Up to `max` deliveries, into `out`. */
  take(max: number, out: Delivery[]): void {
    for (let room = Math.min(max - out.length, SPAN - (this.#handed - this.#acked)); room > 0 && this.waiting; room--)
      out.push(this.#deliver());
  }

  /** The same, for those who only look. */
  takeAll(max: number): Delivery[] {
    const out: Delivery[] = [];
    for (let before = -1; out.length > before && out.length < max;) {
      before = out.length;
      this.take(max, out);
      this.#acked = this.#handed;
    }
    return out;
  }

  /** Notes that everything up to a receipt is settled. */
  settle(receipt: OffsetReceipt): void {
    if (receipt.sequence <= this.#acked) return;
    this.#acked = receipt.sequence;
    const reached = this.idle ? this.position : receipt.next;
    if (reached > this.settled) this.settled = reached;
  }

  /** It is not read any more: what waits is forgotten, as if it had never been fetched. */
  stop(): void {
    this.live = false;
    const { base, delta } = this.#records;
    if (this.waiting) this.position = base + BigInt(delta); // or the last ack would settle it, too
    this.#records.clear();
  }

  #deliver(): Delivery {
    const { base, next } = this.#records;
    const delivery = new KafkaDelivery(new OffsetReceipt(this, ++this.#handed, base, next), this.#records);
    this.#records.advance();
    return delivery;
  }
}
