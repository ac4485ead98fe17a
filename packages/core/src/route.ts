import type { Destination, OutgoingMessage, ProvisionSpec, SendOutcome } from './contract.ts';
import { ERROR_CODES, WaybillError } from './errors.ts';
import type { Link } from './link.ts';
import { murmur2 } from './murmur2.ts';
import type { Outgoing } from './outgoing.ts';
import { Ring } from './ring.ts';

/** What a route needs of its publisher. */
export interface RouteOwner {
  /** Ends one message: frees its place in the buffer and tells who waits. */
  confirmed(outgoing: Outgoing, outcome: Extract<SendOutcome, { status: 'confirmed' }>): void;
  failed(outgoing: Outgoing, outcome: 'rejected' | 'unknown', error: WaybillError): void;
  /** A key ended in failure: reject what waits for room behind it, too (P3). */
  keyFailed(outgoing: Outgoing, error: WaybillError): void;
  expired(outgoing: Outgoing): boolean;
}

const SKIPPED: SendOutcome = { status: 'skipped' };
const RETRY_MIN = 50;
const RETRY_MAX = 2_000;

/**
 * The way to one destination. Batches form while the one before is in flight; an idle route sends at once. Each key
 * belongs to one slot, and a slot has one call in flight, so a key never has two unresolved batches (P3).
 */
export class Route {
  readonly destination: Destination;
  readonly #slots: Slot[];
  /** Messages without order: any free slot takes them. */
  readonly #shared = new Ring<Outgoing>();
  readonly #offers = new Ring<Outgoing>();

  constructor(link: Link, owner: RouteOwner, destination: Destination, spec: ProvisionSpec) {
    this.destination = destination;
    const slots = Math.max(1, Math.min(64, link.adapter.supports.publish.inFlight));
    this.#slots = Array.from(
      { length: slots },
      () => new Slot(link, owner, destination, spec, this.#shared, this.#offers),
    );
  }

  push(outgoing: Outgoing): void {
    const slot = this.#slotOf(outgoing);
    if (slot !== null) {
      slot.push(outgoing);
      return;
    }
    this.#shared.push(outgoing);
    this.#wakeOne();
  }

  /** Its caller gives it up, and with it, on a guarded key, what was accepted behind it. */
  abandon(outgoing: Outgoing, error: WaybillError): void {
    const slot = this.#slotOf(outgoing) ?? this.#slots.find((one) => one.has(outgoing)) ?? this.#slots[0];
    slot?.abandon(outgoing, error);
  }

  /** Best-effort messages waiting. */
  get offered(): number {
    return this.#offers.size;
  }

  offer(outgoing: Outgoing): void {
    this.#offers.push(outgoing);
    this.#wakeOne();
  }

  dropOldest(): Outgoing | undefined {
    return this.#offers.shift();
  }

  /** Ends what is past its deadline, sent or not, and what follows it in its key. */
  sweep(): void {
    for (const slot of this.#slots) slot.sweep();
  }

  /** The slot of its key; null where there is no order to keep. */
  #slotOf({ message: { key, partition } }: Outgoing): Slot | null {
    if (!this.destination.ordered || key === null) return null;
    const index = this.#slots.length === 1 ? 0 : (partition ?? murmur2(key) & 0x7fffffff) % this.#slots.length;
    return this.#slots[index] as Slot;
  }

  #wakeOne(): void {
    for (const slot of this.#slots) {
      if (slot.idle) {
        slot.wake();
        return;
      }
    }
  }
}

class Slot {
  readonly #link: Link;
  readonly #owner: RouteOwner;
  readonly #destination: Destination;
  readonly #spec: ProvisionSpec;
  readonly #queue = new Ring<Outgoing>();
  readonly #shared: Ring<Outgoing>;
  readonly #offers: Ring<Outgoing>;
  /** Unresolved, in publish order per key: they go before anything else of their keys. */
  #unresolved: Outgoing[] = [];
  #inFlight: Outgoing[] = [];
  #retryAt = 0;
  #failures = 0;
  #running = false;
  #wake: (() => void) | null = null;
  #call: AbortController | null = null;

  constructor(
    link: Link,
    owner: RouteOwner,
    destination: Destination,
    spec: ProvisionSpec,
    shared: Ring<Outgoing>,
    offers: Ring<Outgoing>,
  ) {
    this.#link = link;
    this.#owner = owner;
    this.#destination = destination;
    this.#spec = spec;
    this.#shared = shared;
    this.#offers = offers;
  }

  get idle(): boolean {
    return !this.#running || this.#wake !== null;
  }

  push(outgoing: Outgoing): void {
    this.#queue.push(outgoing);
    this.wake();
  }

  wake(): void {
    if (this.#wake !== null) {
      const wake = this.#wake;
      this.#wake = null;
      wake();
    } else if (!this.#running) {
      this.#running = true;
      // A microtask later, so that what one turn publishes goes as one batch.
      queueMicrotask(() => void this.#run());
    }
  }

  has(outgoing: Outgoing): boolean {
    return this.#inFlight.includes(outgoing);
  }

  /** Ends a message now, whatever its call still says; without a call under way nothing of it was sent. */
  abandon(outgoing: Outgoing, error: WaybillError): void {
    const batch = this.has(outgoing) ? this.#inFlight : [];
    if (this.#call !== null)
      for (const other of batch)
        if (other === outgoing || other.message.key === outgoing.message.key) other.maybeStored = true;
    this.#end(outgoing, error, batch);
    if (batch.every(({ ended }) => ended)) this.#call?.abort();
  }

  sweep(): void {
    for (const outgoing of this.#inFlight)
      if (!outgoing.ended && this.#owner.expired(outgoing)) this.abandon(outgoing, this.#timeout(outgoing));
    this.#endExpired(this.#unresolved);
    this.#unresolved = this.#unresolved.filter((outgoing) => !outgoing.ended);
    for (const queue of [this.#queue, this.#shared, this.#offers]) {
      const first = queue.peek();
      if (first === undefined || !this.#owner.expired(first)) continue;
      const late: Outgoing[] = [];
      queue.filter((outgoing) => !(this.#owner.expired(outgoing) && late.push(outgoing) > 0));
      this.#endExpired(late);
    }
  }

  async #run(): Promise<void> {
    for (;;) {
      const batch = this.#take();
      if (batch.length === 0) {
        if (this.#unresolved.length === 0) {
          this.#running = false;
          return;
        }
        await this.#waitForRetry();
        continue;
      }
      this.#inFlight = batch;
      const outcomes = await this.#send(batch);
      this.#inFlight = [];
      this.#settle(batch, outcomes);
    }
  }

  /** The unresolved first, when their pause is over; then what is new, except of keys that still wait. */
  #take(): Outgoing[] {
    const { messages, bytes } = this.#link.adapter.supports.publish.batch;
    const batch: Outgoing[] = [];
    let left = bytes;
    const fits = (outgoing: Outgoing): boolean =>
      batch.length === 0 || (batch.length < messages && outgoing.bytes <= left);
    if (this.#unresolved.length > 0 && this.#link.clock.monotonic() >= this.#retryAt) {
      let taken = 0;
      for (const outgoing of this.#unresolved) {
        if (!outgoing.ended && !fits(outgoing)) break;
        taken++;
        if (outgoing.ended) continue; // with its key, or given up by its caller
        left -= outgoing.bytes;
        batch.push(outgoing);
      }
      this.#unresolved.splice(0, taken);
    }
    const waiting = this.#unresolved.length === 0 ? null : this.#waitingKeys();
    for (const queue of [this.#queue, this.#shared, this.#offers]) {
      for (let next = queue.peek(); next !== undefined && fits(next); next = queue.peek()) {
        queue.shift();
        if (next.ended) continue;
        if (waiting !== null && next.message.key !== null && waiting.has(next.message.key)) {
          this.#unresolved.push(next);
          continue;
        }
        left -= next.bytes;
        batch.push(next);
      }
    }
    return batch;
  }

  #waitingKeys(): Set<string> | null {
    if (!this.#destination.ordered) return null;
    const keys = new Set<string>();
    for (const { message } of this.#unresolved) if (message.key !== null) keys.add(message.key);
    return keys;
  }

  async #send(batch: readonly Outgoing[]): Promise<readonly SendOutcome[] | WaybillError> {
    const { adapter } = this.#link;
    try {
      const waiting = this.#link.ready();
      if (waiting !== null) await waiting;
      await this.#link.provision(this.#spec);
    } catch (error) {
      return this.#link.wrap(error, `publish to '${this.#destination.name}'`);
    }
    // What ended while the broker was waited for was called rejected: it must not be sent any more.
    const live = batch.filter(({ ended }) => !ended);
    if (live.length === 0) return batch.map(() => SKIPPED);
    const messages: OutgoingMessage[] = [];
    for (const outgoing of live) messages.push(outgoing.message);
    this.#call = new AbortController();
    const abort = (): void => this.#call?.abort();
    this.#link.signal.addEventListener('abort', abort);
    try {
      const outcomes = await adapter.publish(this.#destination, messages, this.#call.signal);
      if (outcomes.length === messages.length) {
        let at = 0;
        return batch.map((outgoing) => (outgoing === live[at] ? (outcomes[at++] as SendOutcome) : SKIPPED));
      }
      const error = new Error(`${adapter.name} gave ${outcomes.length} outcomes for ${messages.length} messages`);
      return batch.map(() => ({ status: 'unknown', error }));
    } catch (error) {
      return this.#link.wrap(error, `publish to '${this.#destination.name}'`);
    } finally {
      this.#link.signal.removeEventListener('abort', abort);
      this.#call = null;
    }
  }

  #settle(batch: readonly Outgoing[], outcomes: readonly SendOutcome[] | WaybillError): void {
    const progress = this.#note(batch, outcomes);
    const again: Outgoing[] = [];
    for (const outgoing of batch) {
      if (outgoing.ended) continue;
      const { error } = outgoing;
      if (error !== null && !ERROR_CODES[error.code].retriable) this.#end(outgoing, error, batch);
      else if (this.#owner.expired(outgoing)) this.#end(outgoing, this.#timeout(outgoing), batch);
      else again.push(outgoing);
    }
    if (again.length === 0) {
      if (progress) this.#failures = 0;
      return;
    }
    const reported = again.find((outgoing) => outgoing.error !== null)?.error;
    if (reported !== undefined && reported !== null) this.#link.noticed(reported);
    this.#failures = progress ? 1 : this.#failures + 1;
    const pause = Math.min(RETRY_MAX, RETRY_MIN * 2 ** (this.#failures - 1));
    this.#retryAt = this.#link.clock.monotonic() + pause * (0.75 + 0.5 * this.#link.random());
    // What failed was taken from the front, so it goes before what waits already.
    this.#unresolved = [...again, ...this.#unresolved].filter((outgoing) => !outgoing.ended);
  }

  /** What the broker said, before anything is made of it: an end takes key-mates along, but none that is stored. */
  #note(batch: readonly Outgoing[], outcomes: readonly SendOutcome[] | WaybillError): boolean {
    let progress = false;
    for (let index = 0; index < batch.length; index++) {
      const outgoing = batch[index] as Outgoing;
      if (outgoing.ended) continue;
      if (outcomes instanceof WaybillError) {
        outgoing.error = outcomes;
        continue;
      }
      const outcome = outcomes[index] as SendOutcome;
      if (outcome.status === 'confirmed') {
        progress = true;
        outgoing.ended = true;
        this.#owner.confirmed(outgoing, outcome);
      } else if (outcome.status === 'skipped') outgoing.error = null;
      else {
        if (outcome.status === 'unknown') outgoing.maybeStored = true;
        outgoing.error = this.#link.wrap(outcome.error, `publish to '${outgoing.destination.name}'`);
      }
    }
    return progress;
  }

  /** Ends a message in failure, and with it, on a guarded key, all that was accepted behind it. */
  #end(outgoing: Outgoing, error: WaybillError, batch: readonly Outgoing[] = []): void {
    outgoing.ended = true;
    this.#owner.failed(outgoing, outgoing.maybeStored ? 'unknown' : 'rejected', error);
    if (!outgoing.guardsKey) return;
    const { key } = outgoing.message;
    const order = new WaybillError(
      'order',
      `not sent: an earlier message of its key ended ${error.code} (message ${outgoing.message.id})`,
      { cause: error },
    );
    // Gathered first: each end makes room, and what is let in then must not land in the middle of this.
    const followers: Outgoing[] = [];
    const stays = (other: Outgoing): boolean =>
      other.ended || other === outgoing || other.message.key !== key || followers.push(other) === 0;
    // In its own batch the adapter has held back what follows it, so those have no outcome worth waiting for.
    for (const other of batch.slice(batch.indexOf(outgoing) + 1)) stays(other);
    this.#unresolved = this.#unresolved.filter(stays);
    this.#queue.filter(stays);
    for (const follower of followers) {
      follower.ended = true;
      this.#owner.failed(follower, follower.maybeStored ? 'unknown' : 'rejected', order);
    }
    this.#owner.keyFailed(outgoing, order);
  }

  #endExpired(candidates: readonly Outgoing[]): void {
    for (const outgoing of candidates)
      if (!outgoing.ended && this.#owner.expired(outgoing)) this.#end(outgoing, this.#timeout(outgoing));
  }

  #timeout(outgoing: Outgoing): WaybillError {
    const why = outgoing.error === null ? 'no answer' : outgoing.error.message;
    return new WaybillError(
      'timeout',
      `publish to '${outgoing.destination.name}' was not confirmed within the publish timeout: ${why}`,
      {
        cause: outgoing.error,
      },
    );
  }

  #waitForRetry(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#link.clock.setTimer(
        () => this.#wake?.(),
        Math.max(1, this.#retryAt - this.#link.clock.monotonic()),
      );
      this.#wake = () => {
        timer.cancel();
        this.#wake = null;
        resolve();
      };
    });
  }
}
