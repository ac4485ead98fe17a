import type { Control, Delivery, Envelope, Headers, Position } from '@waybill/core/adapter';
import type { FetchedPartition, FetchedRecord } from './client.ts';
import { envelopeOf } from './record.ts';

/** Most deliveries of one partition from the first unsettled to the last: a stuck head must not let receipts pile up. */
const SPAN = 10_000;

/** What settles a delivery, and with it everything before it in its partition. */
export interface OffsetReceipt {
  readonly stream: Stream;
  /** Where the group goes on when this is settled. */
  readonly next: string;
  /** Counts what was handed out of this partition. */
  readonly sequence: number;
}

/** Field by field, and with what few read made for them: a message costs little more than its envelope. */
class KafkaDelivery implements Delivery {
  readonly id: string;
  readonly time: number;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly contentType: string | null;
  readonly headers: Headers;
  readonly control: Control | null;
  readonly body: Uint8Array;
  readonly receipt: OffsetReceipt;
  readonly origin: Delivery['origin'];
  readonly partition: number;
  readonly deliveryCount: null = null;
  readonly storedAttempt: null = null;
  readonly leaseUntil: null = null;
  readonly fence: null = null;
  readonly #offset: string;
  readonly #timestamp: string;
  readonly #tombstone: boolean;

  constructor(envelope: Envelope, receipt: OffsetReceipt, origin: Delivery['origin'], record: FetchedRecord) {
    this.id = envelope.id;
    this.time = envelope.time;
    this.key = envelope.key;
    this.type = envelope.type;
    this.source = envelope.source;
    this.contentType = envelope.contentType;
    this.headers = envelope.headers;
    this.control = envelope.control;
    this.body = envelope.body;
    this.receipt = receipt;
    this.origin = origin;
    this.partition = receipt.stream.partition;
    this.#offset = record.offset;
    this.#timestamp = record.timestamp;
    this.#tombstone = record.value === null;
  }

  get position(): Position {
    return { [this.partition]: this.#offset };
  }

  get raw(): unknown {
    const { topic, partition } = this.receipt.stream;
    return { topic, partition, offset: this.#offset, timestamp: this.#timestamp, tombstone: this.#tombstone };
  }
}

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
  /** Bytes that wait here. */
  bytes = 0;
  /**
   * The last fetch brought nothing though there is something: it had no room for so large a batch beside those of other
   * partitions, or the batch is one that compaction has emptied. A fetch of this partition alone tells which.
   */
  starved = false;
  /** False once it is not read any more. */
  live = true;
  /** False once what was handed out can no longer be settled. */
  owned = true;
  #waiting: FetchedRecord[] = [];
  #at = 0;
  #handed = 0;
  #acked = 0;
  /** The last offset of the last fetch may lie behind its last record: control records, records removed by compaction. */
  #tail: { readonly offset: string; readonly next: bigint } | null = null;

  constructor({ topic, partition, origin, from, end }: StreamOptions) {
    this.topic = topic;
    this.partition = partition;
    this.origin = origin;
    this.position = from;
    this.settled = from;
    this.committed = from;
    this.end = end;
  }

  get waiting(): number {
    return this.#waiting.length - this.#at;
  }

  /** Everything up to its end was fetched and handed out. */
  get ended(): boolean {
    return this.end !== null && this.position >= this.end && this.waiting === 0;
  }

  /** Everything that was handed out is settled. */
  get idle(): boolean {
    return this.waiting === 0 && this.#handed === this.#acked;
  }

  /** Takes what a fetch from `position` brought; `alone`: of this partition only. Returns whether the position moved. */
  add(found: FetchedPartition, alone: boolean): boolean {
    const { messages } = found;
    const last = messages.at(-1);
    const starved = this.starved;
    this.starved = false;
    if (last === undefined) {
      if (this.position >= BigInt(found.lastStableOffset ?? found.highWatermark)) return false;
      this.starved = true;
      // An emptied batch comes without its records, and kafkajs does not say how far it goes.
      if (alone && starved) this.#skipTo(this.position + 1n);
      return alone && starved;
    }
    const context = last.batchContext;
    const next =
      context === undefined
        ? BigInt(last.offset) + 1n
        : BigInt(context.firstOffset) + BigInt(context.lastOffsetDelta) + 1n;
    const records = this.#wanted(found);
    const final = records.at(-1);
    if (this.#at > 0) {
      this.#waiting = this.#waiting.slice(this.#at);
      this.#at = 0;
    }
    for (const record of records) {
      this.#waiting.push(record);
      this.bytes += sizeOf(record);
    }
    if (final === undefined) this.#skipTo(next);
    else {
      this.position = next;
      this.#tail = { offset: final.offset, next };
    }
    return true;
  }

  /** Up to `max` deliveries, into `out`. */
  take(max: number, out: Delivery[]): void {
    const room = Math.min(max - out.length, SPAN - (this.#handed - this.#acked), this.waiting);
    for (let count = 0; count < room; count++) {
      const record = this.#waiting[this.#at++] as FetchedRecord;
      this.bytes -= sizeOf(record);
      out.push(this.#deliver(record));
    }
    if (this.#at === this.#waiting.length) {
      this.#waiting = [];
      this.#at = 0;
    }
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
  settle({ next, sequence }: OffsetReceipt): void {
    if (sequence <= this.#acked) return;
    this.#acked = sequence;
    const reached = this.idle ? this.position : BigInt(next);
    if (reached > this.settled) this.settled = reached;
  }

  /** It is not read any more: what waits is forgotten, as if it had never been fetched. */
  stop(): void {
    this.live = false;
    const first = this.#waiting[this.#at];
    if (first !== undefined) this.position = BigInt(first.offset); // or the last ack would settle it, too
    this.#waiting = [];
    this.#at = 0;
    this.bytes = 0;
  }

  /** Nothing to hand out lies before this offset. */
  #skipTo(offset: bigint): void {
    this.position = offset;
    if (this.idle && offset > this.settled) this.settled = offset;
  }

  /** Without what lies before the position, behind the end, or in an aborted transaction. */
  #wanted({ messages, abortedTransactions }: FetchedPartition): FetchedRecord[] {
    const aborted = (abortedTransactions ?? []).toSorted((a, b) =>
      Number(BigInt(a.firstOffset) - BigInt(b.firstOffset)),
    );
    const first = messages[0] as FetchedRecord;
    if (
      aborted.length === 0 &&
      this.end === null &&
      BigInt(first.offset) >= this.position &&
      !messages.some(({ isControlRecord }) => isControlRecord)
    )
      return messages as FetchedRecord[];
    const open = new Set<string>();
    let begun = 0;
    return messages.filter((record) => {
      const offset = BigInt(record.offset);
      const { producerId, inTransaction, firstOffset, lastOffsetDelta } = record.batchContext ?? {};
      const batchEnd = firstOffset === undefined ? offset : BigInt(firstOffset) + BigInt(lastOffsetDelta ?? 0);
      while (begun < aborted.length && BigInt(aborted[begun]?.firstOffset ?? 0) <= batchEnd)
        open.add(aborted[begun++]?.producerId ?? '');
      if (record.isControlRecord === true) {
        if (isAbort(record) && producerId !== undefined) open.delete(producerId);
        return false;
      }
      if (inTransaction === true && producerId !== undefined && open.has(producerId)) return false;
      return offset >= this.position && (this.end === null || offset < this.end);
    });
  }

  #deliver(record: FetchedRecord): Delivery {
    const { topic, partition, origin } = this;
    const { offset } = record;
    const next = this.#tail?.offset === offset ? String(this.#tail.next) : following(offset);
    const receipt: OffsetReceipt = { stream: this, next, sequence: ++this.#handed };
    return new KafkaDelivery(envelopeOf(topic, partition, record), receipt, origin, record);
  }
}

/** A control record's key is its version and type, two bytes each; type 0 ends a transaction that was aborted. */
const isAbort = ({ key }: FetchedRecord): boolean => key !== null && key.length >= 4 && key.readInt16BE(2) === 0;

const sizeOf = ({ key, value }: FetchedRecord): number => (key?.length ?? 0) + (value?.length ?? 0) + 256;

/** Offsets are 64 bits wide; most fit a number. */
export function following(offset: string, by = 1): string {
  return offset.length < 16 ? String(Number(offset) + by) : String(BigInt(offset) + BigInt(by));
}
