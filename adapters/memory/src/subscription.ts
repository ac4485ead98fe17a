import type {
  AdapterSubscription,
  Delivery,
  Destination,
  Output,
  StartPosition,
  SubscriptionSpec,
} from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import type { Cursor } from './cursor.ts';
import { Receipt, type Shown } from './delivery.ts';
import { BrokerError } from './errors.ts';
import type { Group } from './group.ts';
import type { Log } from './log.ts';
import { Alarm } from './timers.ts';

/** A receive with nothing to hand out answers after this. */
const pollTime = 1_000;

/** What the adapter's manifest lets a subscription do. */
export interface Features {
  readonly cumulative: boolean;
  readonly nack: boolean;
  readonly attempts: boolean;
  readonly seek: boolean;
  readonly skip: boolean;
  readonly transactions: boolean;
  /** What a message on its way to a destination may ask for. */
  readonly accepts: (destination: Destination) => { readonly dedup: boolean; readonly delay: boolean };
  readonly shows: Shown;
}

interface Poll {
  readonly max: number;
  readonly skip: ReadonlySet<number> | undefined;
  readonly until: number;
  readonly signal: AbortSignal;
  readonly resolve: (deliveries: Delivery[]) => void;
  readonly reject: (error: unknown) => void;
}

export class MemorySubscription implements AdapterSubscription {
  readonly connection: Connection;
  readonly group: Group;
  readonly spec: SubscriptionSpec;
  readonly shows: Shown;
  declare readonly nack?: NonNullable<AdapterSubscription['nack']>;
  declare readonly extend?: NonNullable<AdapterSubscription['extend']>;
  declare readonly seek?: NonNullable<AdapterSubscription['seek']>;
  declare readonly transact?: NonNullable<AdapterSubscription['transact']>;
  /** What it reads now; the group decides. */
  cursors: Cursor[] = [];
  readonly #features: Features;
  /** Of a bounded subscription: where each cursor of the topic ends. */
  readonly #ends: ReadonlyMap<Cursor, number> | null;
  readonly #alarm: Alarm;
  #poll: Poll | null = null;
  #error: BrokerError | null = null;
  #turn = 0;
  #first: Receipt | null = null;
  #last: Receipt | null = null;
  reserved = 0;

  constructor(connection: Connection, group: Group, spec: SubscriptionSpec, features: Features) {
    this.connection = connection;
    this.group = group;
    this.spec = spec;
    this.shows = features.shows;
    this.#features = features;
    this.#ends = spec.bounded ? new Map(group.topic.map((cursor) => [cursor, cursor.log.entries.end])) : null;
    this.#alarm = new Alarm(connection.broker.timers, (now) => this.#sweep(now));
    if (features.nack) this.nack = (receipts, options) => this.#later(() => this.#giveBack(receipts, options));
    if (features.shows.lease) this.extend = (receipts, ms) => this.#later(() => this.#prolong(receipts, ms));
    if (features.transactions) this.transact = (outputs, receipts) => this.#transact(outputs, receipts);
    if (features.seek) this.seek = (position) => this.#later(() => this.#move(position));
  }

  get ended(): boolean {
    if (this.#ends === null) return false;
    for (const [cursor, end] of this.#ends) if (!cursor.exhausted(end)) return false;
    return true;
  }

  /** Handed out and not settled. */
  get held(): number {
    let held = 0;
    for (let receipt = this.#first; receipt !== null; receipt = receipt.after) held++;
    return held;
  }

  receive(max: number, signal: AbortSignal, skip?: ReadonlySet<number>): Promise<Delivery[]> {
    if (this.#error !== null) return Promise.reject(this.#error);
    if (signal.aborted || max < 1) return Promise.resolve([]);
    this.reserved = max;
    const pause = this.connection.broker.faults.pause('receive', this.connection);
    return pause === null ? this.#receive(max, signal, skip) : pause.then(() => this.#receive(max, signal, skip));
  }

  ack(receipts: readonly unknown[]): Promise<readonly ('ok' | 'lost')[]> {
    return this.#later(() => this.#settle(receipts));
  }

  close(): Promise<void> {
    if (this.#error === null) {
      this.#end(new BrokerError('closed', 'the subscription was closed'));
      this.#answer([]);
      this.group.leave(this);
      this.group.finish('once');
    }
    return Promise.resolve();
  }

  /** The connection is gone. A killed consumer is not told, and the broker finds out when its session ends. */
  drop(error: BrokerError, killed: boolean): void {
    this.#end(error);
    const poll = this.#takePoll();
    poll?.reject(error);
    if (killed) return this.group.expire(this);
    const lost = this.group.leave(this);
    this.group.finish('last');
    if (lost.length > 0) this.spec.onLost(lost);
  }

  /** Hands out what there is. Returns whether the poll is answered. */
  serve(now: number): boolean {
    const poll = this.#poll;
    if (poll === null) return true;
    const { faults } = this.connection.broker;
    const deliveries: Delivery[] = [];
    if (!faults.stalls('receive')) this.#take(deliveries, poll, now);
    if (deliveries.length === 0 && !this.ended) {
      this.#alarm.by(poll.until);
      return false;
    }
    faults.touch(deliveries, this.group.exclusive);
    this.#answer(deliveries);
    return true;
  }

  /** A cursor calls it for each message that it hands out. */
  hold(receipt: Receipt, now: number): void {
    receipt.owner = this;
    receipt.before = this.#last;
    if (this.#last === null) this.#first = receipt;
    else this.#last.after = receipt;
    this.#last = receipt;
    if (!this.shows.lease) return;
    receipt.until = now + this.spec.lease;
    this.#alarm.by(receipt.until);
  }

  letGo(receipt: Receipt): void {
    const { before, after } = receipt;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    receipt.before = null;
    receipt.after = null;
  }

  /** A lease has ended: the message comes again, and in an ordered partition its key's later ones behind it. */
  lose(receipt: Receipt): void {
    receipt.cursor.release(receipt, 0, null);
    receipt.cursor.releaseFollowers(receipt);
    this.group.wake();
  }

  /** Gives back everything held, as far as it comes from one of these cursors. */
  releaseHeld(of: ReadonlySet<Cursor> | null): void {
    for (let receipt = this.#first; receipt !== null;) {
      const { after } = receipt;
      if (of === null || of.has(receipt.cursor)) receipt.cursor.release(receipt, 0, null);
      receipt = after;
    }
  }

  #receive(max: number, signal: AbortSignal, skip: ReadonlySet<number> | undefined): Promise<Delivery[]> {
    if (this.#error?.code === 'closed') return Promise.resolve([]); // while a fault held it up
    if (this.#error !== null) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      const until = this.connection.broker.clock.monotonic() + pollTime;
      this.#poll = { max, skip: this.#features.skip ? skip : undefined, until, signal, resolve, reject };
      signal.addEventListener('abort', this.#onAbort);
      this.group.queue(this);
    });
  }

  readonly #onAbort = (): void => this.#answer([]);

  #take(out: Delivery[], poll: Poll, now: number): void {
    const { cursors } = this;
    for (let turn = 0; turn < cursors.length && out.length < poll.max; turn++) {
      const cursor = cursors[(this.#turn + turn) % cursors.length] as Cursor;
      if (poll.skip?.has(cursor.log.partition) === true) continue;
      const end = this.#ends === null ? Number.POSITIVE_INFINITY : (this.#ends.get(cursor) ?? 0);
      cursor.take(this, out, poll.max - out.length, now, end);
    }
    this.#turn++; // so that no partition, and neither topic nor inbox, always comes first
  }

  #takePoll(): Poll | null {
    const poll = this.#poll;
    this.#poll = null;
    this.reserved = 0;
    poll?.signal.removeEventListener('abort', this.#onAbort);
    return poll;
  }

  #answer(deliveries: Delivery[]): void {
    this.#takePoll()?.resolve(deliveries);
  }

  #end(error: BrokerError): void {
    this.#error = error;
    this.connection.subscriptions.delete(this);
  }

  #sweep(now: number): void {
    if (this.#poll !== null && now >= this.#poll.until) this.#answer([]);
    if (this.#poll !== null) this.#alarm.by(this.#poll.until);
    if (!this.shows.lease) return;
    const over: Receipt[] = [];
    for (let receipt = this.#first; receipt !== null; receipt = receipt.after) {
      if (receipt.until <= now) over.push(receipt);
      else this.#alarm.by(receipt.until);
    }
    for (const receipt of over) if (receipt.state === 'held') this.lose(receipt);
  }

  /** Runs at once, unless a fault is on. After the end a settle does nothing. */
  #later<T>(run: () => T): Promise<T> {
    const pause = this.connection.broker.faults.pause('settle', this.connection);
    if (pause !== null) return pause.then(() => this.#run(run));
    try {
      return Promise.resolve(this.#run(run));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #run<T>(run: () => T): T {
    // A lost connection can carry nothing; a closed subscription has given everything back.
    this.connection.check();
    return run();
  }

  #holds(receipt: unknown): receipt is Receipt {
    return receipt instanceof Receipt && receipt.owner === this && receipt.state === 'held';
  }

  #settle(receipts: readonly unknown[]): ('ok' | 'lost')[] {
    const now = this.connection.broker.clock.monotonic();
    const results: ('ok' | 'lost')[] = [];
    let log: Log | null = null;
    for (const receipt of receipts) {
      if (!this.#holds(receipt)) {
        // Settled by this very receipt before: a repeated ack.
        const settled = receipt instanceof Receipt && receipt.owner === this && receipt.state === 'settled';
        results.push(settled ? 'ok' : 'lost');
        continue;
      }
      const { cursor } = receipt;
      if (this.#features.cumulative) cursor.settleUpTo(receipt);
      else cursor.settle(receipt);
      if (log !== cursor.log) log?.store.advance(log, now);
      log = cursor.log;
      results.push('ok');
    }
    log?.store.advance(log, now);
    if (this.#ends !== null) this.group.wake();
    return results;
  }

  /** In one turn, so nobody sees a part of it. */
  async #transact(outputs: readonly Output[], receipts: readonly unknown[]): Promise<readonly ('ok' | 'lost')[]> {
    const { broker } = this.connection;
    for (const operation of ['publish', 'settle'] as const) await broker.faults.pause(operation, this.connection);
    return this.#run(() => {
      const results = receipts.map((receipt) => (this.#holds(receipt) ? 'ok' : 'lost'));
      if (results.includes('lost')) return results;
      const unanswered = broker.publishAll(outputs, this.#features.accepts);
      this.#settle(receipts);
      if (unanswered !== null) throw unanswered;
      return results;
    });
  }

  #giveBack(receipts: readonly unknown[], options: { delay: number; failed: boolean; attempt: number }): void {
    const until = options.delay > 0 ? this.connection.broker.clock.monotonic() + options.delay : 0;
    const attempt = options.failed && this.#features.attempts ? options.attempt : null;
    for (const receipt of receipts) if (this.#holds(receipt)) receipt.cursor.release(receipt, until, attempt);
    this.group.wake();
  }

  #prolong(receipts: readonly unknown[], ms: number): (number | 'lost')[] {
    const until = this.connection.broker.clock.monotonic() + ms;
    this.#alarm.by(until);
    return receipts.map((receipt) => {
      if (!this.#holds(receipt)) return 'lost';
      receipt.until = until;
      return until;
    });
  }

  #move(position: StartPosition): void {
    if (this.#error !== null) throw this.#error;
    this.group.seek(this.cursors, position);
  }
}
