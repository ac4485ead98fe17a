import type { Control, Envelope, Headers, OutgoingMessage, Position } from '@waybill/core/adapter';
import type { Cursor } from './cursor.ts';
import { Ring } from './ring.ts';
import { Slab } from './slab.ts';
import type { Store } from './store.ts';

/** What a stored message costs beside its body and headers, roughly. */
const overhead = 256;

/** Bytes that a message counts for against the broker's limit. */
export function sizeOf(message: Envelope): number {
  let size = message.body.byteLength + overhead;
  for (const name in message.headers) size += name.length + (message.headers[name] as string | Uint8Array).length;
  return size;
}

/** A stored message. Immutable, shared by all groups, and what `raw` shows. */
export class Entry implements Envelope {
  readonly id: string;
  readonly time: number;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly contentType: string | null;
  readonly headers: Headers;
  readonly control: Control | null;
  readonly body: Uint8Array;
  readonly position: Position;
  readonly size: number;
  /** When it was stored, by the wall clock; never less than the entry before. */
  readonly storedAt: number;
  /** Monotonic ms before which nobody gets it; 0 for at once. */
  readonly due: number;

  constructor(
    message: OutgoingMessage,
    body: Uint8Array,
    position: Position,
    size: number,
    storedAt: number,
    due: number,
  ) {
    this.id = message.id;
    this.time = message.time;
    this.key = message.key;
    this.type = message.type;
    this.source = message.source;
    this.contentType = message.contentType;
    this.headers = message.headers;
    this.control = message.control;
    this.body = body;
    this.position = position;
    this.size = size;
    this.storedAt = storedAt;
    this.due = due;
  }
}

/** One partition: its messages by offset, the settled ones that are retained first, then those somebody still needs. */
export class Log {
  readonly store: Store;
  readonly partition: number;
  readonly entries: Ring<Entry> = new Ring(0);
  readonly slab: Slab = new Slab();
  /** One cursor per group that reads this log. */
  readonly cursors: Cursor[] = [];
  /** Below this offset every group has settled everything. */
  settled = 0;
  /** When the boundary passed which offset, coarsely; for retention by time. */
  readonly #marks: { at: number; settled: number }[] = [];

  constructor(store: Store, partition: number) {
    this.store = store;
    this.partition = partition;
  }

  /** When the first entry was stored; there must be one. */
  get firstStored(): number {
    return this.entries.at(this.entries.first).storedAt;
  }

  /** Takes up what the cursors have settled. Returns by how many bytes the settled part has grown. */
  advance(now: number, granularity: number): number {
    // What waits in a group's place before the group is there is not settled; a topic keeps within its limits.
    let settled = this.cursors.length > 0 || this.store.kind === 'topic' ? this.entries.end : this.entries.first;
    for (const cursor of this.cursors) if (cursor.floor < settled) settled = cursor.floor;
    let bytes = 0;
    for (let offset = this.settled; offset < settled; offset++) bytes += this.entries.at(offset).size;
    // A cursor may also have been set back: what was settled is needed again.
    for (let offset = settled; offset < this.settled; offset++) bytes -= this.entries.at(offset).size;
    if (settled !== this.settled) this.#mark(now, settled, granularity);
    this.settled = settled;
    return bytes;
  }

  /** Removes the first entry and returns it. The cursors that still needed it skip it. */
  shift(): Entry {
    const entry = this.entries.at(this.entries.first);
    this.entries.shift();
    const { first } = this.entries;
    if (this.settled < first) {
      for (const cursor of this.cursors) cursor.skipTo(first);
      this.settled = first;
    }
    return entry;
  }

  /** The offset below which everything has been settled since before `time`. */
  settledBefore(time: number): number {
    const marks = this.#marks;
    let passed = 0;
    while (passed < marks.length && (marks[passed] as { at: number }).at <= time) passed++;
    if (passed > 1) marks.splice(0, passed - 1);
    return passed === 0 ? 0 : Math.min((marks[0] as { settled: number }).settled, this.settled);
  }

  /** The first offset that was stored at or after a wall-clock time. */
  since(time: number): number {
    let low = this.entries.first;
    let high = this.entries.end;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (this.entries.at(middle).storedAt < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #mark(now: number, settled: number, granularity: number): void {
    const marks = this.#marks;
    while (marks.length > 0 && (marks.at(-1) as { settled: number }).settled > settled) marks.pop();
    const last = marks.at(-1);
    // Joining marks must not make anything look settled earlier than it was, so the younger time counts.
    if (last !== undefined && now - (marks.at(-2)?.at ?? Number.NEGATIVE_INFINITY) < granularity) {
      last.at = now;
      last.settled = settled;
    } else {
      marks.push({ at: now, settled });
    }
  }
}
