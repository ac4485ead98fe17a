import type { Delivery } from '@waybill/core/adapter';
import { deliveryOf, type EntryReceipt, type Origin } from './delivery.ts';
import { compareIds, type Entry } from './entry.ts';
import type { StreamKeys } from './keys.ts';
import type { Ownership } from './leases.ts';
import { previousId } from './positions.ts';

export interface OrderedReceipt extends EntryReceipt<PartitionStream> {
  state: 'out' | 'settled' | 'back';
}

export type OrderedDelivery = Delivery & { readonly receipt: OrderedReceipt };

/** One stream of a partition that is ours, the topic's or the group's inbox, and how far it was read. */
export class PartitionStream implements Origin {
  readonly ownership: Ownership;
  readonly keys: StreamKeys;
  readonly origin: Delivery['origin'];
  readonly partition: number;
  /** What is pending was read up to this id; null when all of it was. */
  pending: string | null = '0-0';
  /** There may be something to read. */
  hot = true;
  /** That was said by the bell: then there is, or the bell goes by the wrong id. */
  rung = false;
  /** Nothing behind this id was delivered, as far as is known. */
  seen: string;
  /** Counts what was given back. */
  returns = 0;
  /** In core's hands, or on the way there. */
  readonly out: Map<string, OrderedReceipt> = new Map();

  constructor(ownership: Ownership, keys: StreamKeys, origin: Delivery['origin'], seen: string) {
    this.ownership = ownership;
    this.keys = keys;
    this.origin = origin;
    this.partition = ownership.partition;
    this.seen = seen;
  }

  /** Settled entries are deleted, not kept for replay. */
  get deletes(): boolean {
    return this.origin === 'inbox';
  }

  /**
   * Whether what was read since `returns` had this value must be dropped: the partition goes, or something was given back
   * that comes before it. It is pending, and read again in its turn.
   */
  isVoid(returns: number): boolean {
    return this.ownership.state !== 'held' || this.returns !== returns;
  }

  deliver(entry: Entry, id: string, times: number): OrderedDelivery {
    const receipt: OrderedReceipt = { source: this, id, state: 'out' };
    this.out.set(id, receipt);
    return deliveryOf(entry, receipt, times, null, this.ownership.epoch);
  }

  /** Core no longer has it: it stays pending and is read again, with all behind it that core has not. */
  takeBack(receipt: OrderedReceipt): void {
    receipt.state = 'back';
    this.out.delete(receipt.id);
    this.returns++;
    const from = previousId(receipt.id);
    if (this.pending === null || compareIds(from, this.pending) < 0) this.pending = from;
    this.hot = true;
  }
}
