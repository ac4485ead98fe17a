import { Buffer } from 'node:buffer';
import { Bytes } from './bytes.ts';
import type { FetchedPartition, RecordBatch } from './fetched.ts';

const NOTHING = new Bytes(Buffer.alloc(0));

/** A batch that waits, and of which of its records: deltas of offsets, the second behind the last. */
interface Waiting {
  readonly batch: RecordBatch;
  readonly least: number;
  readonly limit: number;
}

/** Records of fetched batches: one at hand, the others waiting as bytes. */
export class Records {
  /** The first offset of the batch of the one at hand, and what is to be added for its own. */
  base = 0n;
  delta = 0;
  /** Milliseconds. */
  time = 0;
  /** Where its key begins; its value and headers follow. */
  start = 0;
  #fields = NOTHING;
  #current: Waiting | null = null;
  readonly #waiting: Waiting[] = [];
  /** Bytes of all that waits but the current batch. */
  #behind = 0;
  /** Records of the current batch, with the one at hand. */
  #left = 0;
  #until = 0;

  /** Whether one is at hand. */
  get more(): boolean {
    return this.#left > 0;
  }

  /** Bytes that are not handed out. */
  get bytes(): number {
    return this.#behind + (this.#left === 0 ? 0 : this.#fields.buffer.length - this.start);
  }

  /** Of the one at hand, from its key on. */
  get fields(): Bytes {
    this.#fields.at = this.start;
    return this.#fields;
  }

  /** The offset to go on with behind the one at hand, less `base`: behind the batch, if it is its last. */
  get next(): number {
    return 1 + (this.#left === 1 ? (this.#current?.batch.lastDelta ?? 0) : this.delta);
  }

  /** @param from The first offset that is wanted. @param end The first that is not; null: no end. */
  push(batches: readonly RecordBatch[], from: bigint, end: bigint | null): void {
    for (const batch of batches) {
      const { base, records } = batch;
      const limit = end === null ? Number.POSITIVE_INFINITY : Number(end - base);
      this.#waiting.push({ batch, least: Number(from - base), limit });
      this.#behind += records.length;
    }
    if (this.#left === 0) this.#find();
  }

  /** On to the next. */
  advance(): void {
    this.#fields.at = this.#until;
    this.#left--;
    this.#find();
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#fields = NOTHING;
    this.#current = null;
    this.#left = this.#behind = 0;
  }

  #find(): void {
    for (; ; this.#left--) {
      while (this.#left === 0) if (!this.#open()) return;
      const { batch, least, limit } = this.#current as Waiting;
      const fields = this.#fields;
      const length = fields.varint();
      this.#until = fields.at + length;
      fields.at++; // attributes: none are defined
      const time = fields.varint();
      this.delta = fields.varint();
      if (this.delta >= limit) this.#left = 1;
      else if (this.delta >= least) {
        this.time = batch.appended ?? batch.time + time;
        this.start = fields.at;
        return;
      }
      fields.at = this.#until;
    }
  }

  /** The next batch; false where there is none. */
  #open(): boolean {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.clear(); // or the last answer lives on
      return false;
    }
    const { base, count, records } = next.batch;
    this.#current = next;
    this.#behind -= records.length;
    this.#fields = new Bytes(records);
    this.#left = count;
    this.base = base;
    return true;
  }
}

/** The batches with messages in them: none of aborted transactions, interleaved ones included, and none that end one. */
export function readable({ aborted, batches }: Pick<FetchedPartition, 'aborted' | 'batches'>): readonly RecordBatch[] {
  if (aborted.length === 0 && !batches.some(({ control }) => control)) return batches;
  const begins = aborted.toSorted((a, b) => Number(a.first - b.first));
  const open = new Set<bigint>();
  return batches.filter((batch) => {
    const { base, lastDelta, producer, control, transactional } = batch;
    const last = base + BigInt(lastDelta);
    while (begins[0] !== undefined && begins[0].first <= last)
      open.add((begins.shift() as { producer: bigint }).producer);
    if (control && isAbort(batch)) open.delete(producer);
    return !control && !(transactional && open.has(producer));
  });
}

/** The key of a record that ends a transaction is its version and type, two bytes each; type 0: it was aborted. */
function isAbort(batch: RecordBatch): boolean {
  const records = new Records();
  records.push([batch], batch.base, null);
  if (!records.more) return false;
  const { fields } = records;
  return fields.varint() >= 4 && fields.buffer.readInt16BE(fields.at + 2) === 0;
}
