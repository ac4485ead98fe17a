import type { Control, Delivery, Headers, Position } from '@waybill/core/adapter';
import type { Cursor } from './cursor.ts';
import type { Entry } from './log.ts';
import type { MemorySubscription } from './subscription.ts';

/**
 * What settles one delivery, and the state of its message in its group until the next delivery has another. The
 * receipts that a subscription holds are a list through themselves.
 */
export class Receipt {
  readonly cursor: Cursor;
  readonly offset: number;
  readonly entry: Entry;
  /** Deliveries so far, this one included. */
  readonly count: number;
  /** Stored by a nack. */
  readonly attempt: number | null;
  state: 'ready' | 'waiting' | 'held' | 'settled' | 'lost' = 'ready';
  /** Monotonic ms: end of the lease while held, end of the wait while waiting. */
  until = 0;
  owner: MemorySubscription | null = null;
  before: Receipt | null = null;
  after: Receipt | null = null;

  constructor(cursor: Cursor, offset: number, entry: Entry, count: number, attempt: number | null) {
    this.cursor = cursor;
    this.offset = offset;
    this.entry = entry;
    this.count = count;
    this.attempt = attempt;
  }

  /** Takes it off its owner's list. The owner stays known, for the answer to a repeated ack. */
  unlink(): void {
    if (this.state === 'held') this.owner?.letGo(this);
  }
}

/** What the adapter's manifest lets a delivery say. */
export interface Shown {
  readonly lease: boolean;
  readonly deliveryCount: boolean;
  readonly fence: boolean;
}

export class MemoryDelivery implements Delivery {
  readonly id: string;
  readonly time: number;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly contentType: string | null;
  readonly headers: Headers;
  readonly control: Control | null;
  readonly body: Uint8Array;
  readonly receipt: Receipt;
  readonly origin: 'topic' | 'inbox';
  readonly partition: number;
  readonly position: Position;
  readonly deliveryCount: number | null;
  readonly storedAttempt: number | null;
  readonly leaseUntil: number | null;
  readonly fence: number | null;
  readonly raw: Entry;

  constructor(receipt: Receipt, shows: Shown) {
    const { cursor, entry } = receipt;
    this.id = entry.id;
    this.time = entry.time;
    this.key = entry.key;
    this.type = entry.type;
    this.source = entry.source;
    this.contentType = entry.contentType;
    this.headers = entry.headers;
    this.control = entry.control;
    this.body = entry.body;
    this.receipt = receipt;
    this.origin = cursor.origin;
    this.partition = cursor.log.partition;
    this.position = entry.position;
    this.deliveryCount = shows.deliveryCount ? receipt.count : null;
    this.storedAttempt = receipt.attempt;
    this.leaseUntil = shows.lease ? receipt.until : null;
    this.fence = shows.fence && cursor.fence > 0 ? cursor.fence : null;
    this.raw = entry;
  }
}
