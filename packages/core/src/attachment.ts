import type { Timer } from './clock.ts';
import type { AdapterSubscription, Delivery, Output, Receipt } from './contract.ts';
import { WaybillError } from './errors.ts';
import { Held, type HeldState } from './held.ts';
import type { Link } from './link.ts';
import { DEFAULTS } from './options.ts';
import type { Supports } from './supports.ts';
import { Watermark } from './watermark.ts';

/** What an attachment tells its consumer. */
export interface AttachmentOwner {
  /** These were settled, or are known to be lost: their credit is free. */
  freed(): void;
  /** `was`: its state until now. */
  leaseLost(held: Held, was: HeldState): void;
  /** An ack failed as a whole: the attachment is of no more use. */
  broken(error: WaybillError): void;
}

/**
 * One life of one adapter subscription: what is held through it, its acks in batches, its watermarks where settlement is
 * cumulative, and its leases. When it ends, what it still holds is lost; late settles die here, quietly (R9).
 */
export class Attachment {
  readonly subscription: AdapterSubscription;
  readonly held: Set<Held> = new Set();
  bytes = 0;
  readonly #link: Link;
  readonly #supports: Supports;
  readonly #owner: AttachmentOwner;
  readonly #lease: number;
  readonly #what: string;
  /** By origin, then by partition. */
  readonly #sources: Readonly<Record<Delivery['origin'], (Watermark<Receipt> | undefined)[]>> = {
    topic: [],
    inbox: [],
  };
  #acks: Held[] = [];
  #flushing: Promise<void> | null = null;
  #completed = 0;
  #commitTimer: Timer | null = null;
  #leaseTimer: Timer | null = null;
  #extending = false;
  #alive = true;

  constructor(subscription: AdapterSubscription, link: Link, owner: AttachmentOwner, lease: number, what: string) {
    this.subscription = subscription;
    this.#link = link;
    this.#supports = link.adapter.supports;
    this.#owner = owner;
    this.#lease = lease;
    this.#what = what;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Takes one delivery into account. */
  hold(delivery: Delivery, key: string | null, firstOfKey: boolean): Held {
    const slot =
      this.#supports.settle.mode === 'cumulative' ? this.#source(delivery).register(delivery.receipt, 0) : -1;
    const held = new Held(delivery, this, key, slot, firstOfKey);
    this.held.add(held);
    this.bytes += held.bytes;
    if (held.leaseUntil !== null && this.#leaseTimer === null) this.#armLease();
    return held;
  }

  /** Settles, with the others of this turn; `held.onAcked` tells the end. Late ones die quietly. */
  ack(held: Held): void {
    if (held.lost || !this.#alive) {
      held.onAcked?.(false);
      return;
    }
    held.state = 'settling';
    if (held.slot >= 0 && held.onAcked === null && held.outputs === null) {
      this.#source(held.delivery).complete(held.slot);
      this.#free(held);
      if (++this.#completed >= DEFAULTS.commitMessages || this.#acks.length > 0) this.#flush();
      else this.#commitTimer ??= this.#link.clock.setTimer(() => this.#commitDue(), DEFAULTS.commitInterval);
      return;
    }
    if (held.slot >= 0) this.#source(held.delivery).complete(held.slot);
    if (this.#isForsaken(held)) {
      this.#acked(held, false);
      return;
    }
    this.#acks.push(held);
    this.#flush();
  }

  /** Everything acked so far is settled, or known not to be. */
  async flush(): Promise<void> {
    this.#flush();
    while (this.#flushing !== null) await this.#flushing;
  }

  /**
   * Gives back unstarted deliveries, the newest first, so that the first of a key comes back first (R3, L2). Those that
   * have failed here take their attempt with them where the broker stores it (R1).
   */
  async giveBack(deliveries: readonly Held[]): Promise<void> {
    const back: Held[] = [];
    for (const held of deliveries) {
      if (held.lost || !this.held.has(held)) continue;
      held.state = 'done';
      this.#free(held);
      if (held.slot >= 0) this.#source(held.delivery).abandon(held.slot);
      back.push(held);
    }
    this.#forsake();
    back.reverse();
    const { subscription } = this;
    const stores = this.#supports.settle.nack.attempts;
    try {
      for (let start = 0; start < back.length && subscription.nack !== undefined && this.#alive;) {
        const attempt = storedAttempt(back[start] as Held, stores);
        let end = start + 1;
        while (end < back.length && storedAttempt(back[end] as Held, stores) === attempt) end++;
        const receipts = back.slice(start, end).map((held) => held.delivery.receipt);
        await subscription.nack(receipts, { delay: 0, failed: attempt > 0, attempt });
        start = end;
      }
    } catch (error) {
      this.#owner.broken(this.#link.wrap(error, `give back to ${this.#what}`));
    }
  }

  /** Gives a failed delivery back with its attempt, which the broker stores; `ended` says whether that is certain. */
  async nackFailed(held: Held, delay: number, ended: (settled: boolean) => void): Promise<void> {
    const { subscription } = this;
    let settled = false;
    try {
      if (!held.lost && this.#alive) {
        await subscription.nack?.([held.delivery.receipt], { delay, failed: true, attempt: held.attempt });
        settled = !held.lost;
      }
    } catch (error) {
      this.#owner.broken(this.#link.wrap(error, `give back to ${this.#what}`));
    }
    if (settled) {
      held.settled = true;
      held.state = 'done';
      this.#free(held);
    }
    ended(settled);
  }

  /** Ownership of what this predicate names is gone: nothing more is sent for it. */
  lose(which: (held: Held) => boolean): void {
    for (const held of this.held) if (which(held)) this.#lose(held);
  }

  /** Its run is lost, but the delivery is not: it goes on as another, in its place among those that came. */
  renew(held: Held): Held {
    const again = held.again();
    const all = [...this.held];
    this.held.clear();
    for (const one of all) this.held.add(one === held ? again : one);
    this.#lose(held);
    return again;
  }

  /**
   * Whether a delivery is still ours, by the clock: a process that was stopped and wakes up runs handlers before the
   * timer that would tell it.
   */
  owns(held: Held): boolean {
    if (held.leaseUntil !== null && !held.settled && !held.lost && held.leaseUntil <= this.#link.clock.monotonic())
      this.#lose(held);
    return !held.lost;
  }

  /** Forgets the watermarks of partitions that have gone, or of all: receipts of an old life must never be sent. */
  forget(partitions?: readonly number[]): void {
    for (const sources of Object.values(this.#sources))
      if (partitions === undefined) sources.length = 0;
      else for (const partition of partitions) sources[partition] = undefined;
  }

  /** The end of this life. Everything still held is lost. */
  retire(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#commitTimer?.cancel();
    this.#leaseTimer?.cancel();
    this.#commitTimer = this.#leaseTimer = null;
    this.lose(() => true);
    for (const held of this.#acks.splice(0)) held.onAcked?.(false);
    this.forget();
  }

  #lose(held: Held): void {
    const was = held.state;
    held.lose();
    this.#free(held);
    this.#owner.leaseLost(held, was);
  }

  #source({ origin, partition }: Delivery): Watermark<Receipt> {
    return (this.#sources[origin][partition] ??= new Watermark());
  }

  #free(held: Held): void {
    if (!this.held.delete(held)) return;
    this.bytes -= held.bytes;
    if (this.held.size === 0) {
      this.#leaseTimer?.cancel();
      this.#leaseTimer = null;
    }
  }

  #commitDue(): void {
    this.#commitTimer = null;
    this.#flush();
  }

  #flush(): void {
    if (this.#flushing !== null || !this.#alive) return;
    this.#flushing = this.#flushAll();
  }

  /** One ack in flight at a time, so that acks of a key reach the broker in order; they gather meanwhile. */
  async #flushAll(): Promise<void> {
    try {
      await Promise.resolve(); // what ends in this turn goes as one batch
      while (this.#alive) {
        const sent = this.#flushSome();
        if (sent === null || !(await sent)) return;
      }
    } finally {
      // In the turn in which nothing more was found, or what comes next would wait for a flush that is over.
      this.#flushing = null;
    }
  }

  /**
   * A transaction behind a gap, of something that was given back, will never be: what it settles comes again, and with
   * it its outputs.
   */
  #forsake(): void {
    const forsaken = this.#acks.filter((held) => this.#isForsaken(held));
    if (forsaken.length === 0) return;
    this.#acks = this.#acks.filter((held) => !forsaken.includes(held));
    for (const held of forsaken) this.#acked(held, false);
    this.#owner.freed();
  }

  #isForsaken(held: Held): boolean {
    return held.slot >= 0 && held.outputs !== null && !this.#source(held.delivery).reaches(held.slot);
  }

  /** Null when there is nothing; that must be known without a turn between. Else whether it could be sent. */
  #flushSome(): Promise<boolean> | null {
    const cumulative = this.#supports.settle.mode === 'cumulative';
    const batch = this.#inTime(this.#acks);
    // What the watermark has not passed is not settled by any commit yet.
    this.#acks = cumulative ? batch.filter((held) => !this.#passed(held)) : [];
    const due = cumulative ? batch.filter((held) => this.#passed(held)) : batch;
    const receipts = cumulative ? this.#watermarks() : due.map((held) => held.delivery.receipt);
    return receipts.length === 0 && due.length === 0 ? null : this.#send(receipts, due);
  }

  async #send(receipts: readonly Receipt[], batch: readonly Held[]): Promise<boolean> {
    let results: readonly ('ok' | 'lost')[] = [];
    try {
      const outputs = batch.flatMap((held) => held.outputs ?? []);
      if (outputs.length > 0) return await this.#transact(outputs, receipts, batch);
      if (receipts.length > 0) results = await this.subscription.ack(receipts);
    } catch (error) {
      for (const held of batch) held.onAcked?.(false);
      this.#owner.broken(this.#link.wrap(error, `ack of ${this.#what}`));
      return false;
    }
    for (let index = 0; index < batch.length; index++) {
      const held = batch[index] as Held;
      // A commit under a group's rules may be refused because its partition has gone, and then it was lost meanwhile.
      const lost = held.slot < 0 ? results[index] === 'lost' : held.lost;
      this.#acked(held, !lost);
    }
    this.#owner.freed();
    return true;
  }

  /** All or nothing (T1). Where some were lost nothing has happened, and the others go again without them. */
  async #transact(outputs: readonly Output[], receipts: readonly Receipt[], batch: readonly Held[]): Promise<boolean> {
    const results = (await this.subscription.transact?.(outputs, receipts)) ?? [];
    const isLost = (index: number): boolean => results[index] !== 'ok';
    if (!receipts.some((_, index) => isLost(index))) {
      for (const held of batch) this.#acked(held, held.slot < 0 || !held.lost);
      this.#owner.freed();
      return true;
    }
    // A receipt of a partition settles what came without outputs, too: what is left of it has to be read again.
    if (this.#supports.settle.mode === 'cumulative' && !receipts.every((_, index) => isLost(index)))
      throw new WaybillError('unavailable', `a partition was lost in a transaction of ${this.#what}`);
    const rest = batch.filter((_, index) => !isLost(index));
    for (const held of batch) if (!rest.includes(held)) this.#acked(held, false);
    this.#owner.freed();
    return this.#send(
      rest.map((held) => held.delivery.receipt),
      rest,
    );
  }

  #passed(held: Held): boolean {
    return this.#source(held.delivery).passed(held.slot);
  }

  #acked(held: Held, settled: boolean): void {
    this.#free(held);
    if (settled) held.state = 'done';
    else if (!held.lost) {
      held.lose();
      this.#owner.leaseLost(held, 'settling');
    }
    held.onAcked?.(settled);
  }

  /**
   * An ack whose lease has ended could hit nobody or a stranger's delivery, so it is not sent (D6). Nor is that of a
   * partition that was lost: should it come back, its places are counted anew.
   */
  #inTime(acks: readonly Held[]): Held[] {
    const now = this.#link.clock.monotonic();
    const inTime: Held[] = [];
    for (const held of acks) {
      if (held.lost || (held.leaseUntil !== null && held.leaseUntil <= now)) this.#acked(held, false);
      else inTime.push(held);
    }
    return inTime;
  }

  #watermarks(): Receipt[] {
    this.#completed = 0;
    const receipts: Receipt[] = [];
    for (const watermark of [...this.#sources.topic, ...this.#sources.inbox]) {
      const receipt = watermark?.take();
      if (receipt !== undefined) receipts.push(receipt);
    }
    return receipts;
  }

  #armLease(): void {
    this.#leaseTimer = this.#link.clock.setTimer(() => this.#sweepLeases(), this.#lease / 8);
  }

  /** Extends at half the lease; what could not be extended in time is lost, and its handler told (D6). */
  #sweepLeases(): void {
    this.#leaseTimer = null;
    const now = this.#link.clock.monotonic();
    this.lose((held) => held.leaseUntil !== null && held.leaseUntil <= now && held.state !== 'settling');
    if (this.subscription.extend !== undefined && !this.#extending) {
      const due = [...this.held].filter(
        (held) => held.leaseUntil !== null && held.leaseUntil - now < this.#lease / 2 && held.timeoutError === null,
      );
      if (due.length > 0) void this.#extend(due);
    }
    if (this.#alive && this.held.size > 0) this.#armLease();
    this.#owner.freed();
  }

  async #extend(due: readonly Held[]): Promise<void> {
    this.#extending = true;
    try {
      const receipts = due.map((held) => held.delivery.receipt);
      const results = (await this.subscription.extend?.(receipts, this.#lease)) ?? [];
      for (let index = 0; index < due.length; index++) {
        const held = due[index] as Held;
        const until = results[index];
        if (typeof until === 'number') held.leaseUntil = until;
        // An ack on the way may have settled it already; then there is nothing to lose.
        else if (until === 'lost' && held.state !== 'settling' && this.held.has(held)) this.lose((one) => one === held);
      }
    } catch (error) {
      // The lease still runs: the next sweep tries again, until its end.
      this.#link.noticed(this.#link.wrap(error, `lease extension of ${this.#what}`));
    } finally {
      this.#extending = false;
    }
  }
}

/** The attempt to store with a delivery that is given back; 0 for none. */
function storedAttempt(held: Held, stores: boolean): number {
  return stores && held.lastFailure > 0 ? held.attempt : 0;
}
