import type { Attachment } from './attachment.ts';
import type { Delivery, Output } from './contract.ts';
import type { WaybillError } from './errors.ts';
import type { Message } from './message.ts';
import type { TimerEntry } from './timer-heap.ts';

/**
 * One delivery that core holds, from `receive` until it is settled or lost.
 *
 * `waiting` behind its key, `ready` to run, `running`, `parked` until a time, `copying` to another destination (requeue,
 * dead letter), `settling` (its ack is on the way), `done`; or `lost`: it can no longer be settled. A lost delivery whose
 * handler still runs is a ghost: its key waits for it, and nothing is sent for it.
 */
export type HeldState = 'waiting' | 'ready' | 'running' | 'parked' | 'copying' | 'settling' | 'done' | 'lost';

export class Held {
  readonly delivery: Delivery;
  readonly attachment: Attachment;
  /** The lane: the ordering key where the subscription is ordered, else null. */
  readonly key: string | null;
  /** The one behind it in its lane. Written by the lanes alone. */
  next: Held | null = null;
  state: HeldState = 'ready';
  /** First of its lane: when it ends, the next of its key may run. */
  heading = false;
  /** In a handler, or being looked at on the way there; a ghost is in its handler though its state is `lost`. */
  inHandler = false;
  /** Its handler runs: with a chance to end well, or `deaf` to its timeout until it was lost. Null where nobody counts. */
  run: 'live' | 'deaf' | null = null;
  /** 1 on the first handler run. */
  attempt: number;
  /** Monotonic; null where it ends only by revocation. */
  leaseUntil: number | null;
  /** Slot in the partition's watermark; -1 where settlement is individual. */
  readonly slot: number;
  /** Only the first undecided message of a key in one receive is judged by its delivery count (R10). */
  readonly firstOfKey: boolean;
  message: Message<unknown> | null = null;
  firstFailure = 0;
  lastFailure = 0;
  timer: TimerEntry<() => void> | null = null;
  /** Made on the first read of `context.signal`: a signal costs 2 µs. */
  controller: AbortController | null = null;
  /** Set when its handler ran past the timeout: however it ends, that attempt has failed, and its lease is let go (R12). */
  timeoutError: WaybillError | null = null;
  /** The batch it is to run with again, after that batch threw. */
  cohort: Cohort | null = null;
  /** Settled before its handler (at-most-once). */
  settled = false;
  /** What is to be stored with its ack, all or nothing (T1); null where that is nothing. */
  outputs: readonly Output[] | null = null;
  /** Called once its ack is confirmed or known to be lost. */
  onAcked: ((settled: boolean) => void) | null = null;

  constructor(delivery: Delivery, attachment: Attachment, key: string | null, slot: number, firstOfKey: boolean) {
    this.delivery = delivery;
    this.attachment = attachment;
    this.key = key;
    this.slot = slot;
    this.firstOfKey = firstOfKey;
    this.leaseUntil = delivery.leaseUntil;
    this.attempt = delivery.storedAttempt ?? (delivery.origin === 'inbox' ? (delivery.control?.attempt ?? 1) : 1);
  }

  get bytes(): number {
    return this.delivery.body.byteLength + 256;
  }

  get lost(): boolean {
    return this.state === 'lost';
  }

  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.lost) this.controller.abort(lostReason());
    return this.controller.signal;
  }

  /** Not begun, so that it can be given back without costing anything. */
  get unstarted(): boolean {
    return this.state === 'waiting' || this.state === 'ready' || this.state === 'parked';
  }

  /** The same delivery for another run, while the handler of this one goes on as a ghost. */
  again(): Held {
    const again = new Held(this.delivery, this.attachment, this.key, this.slot, this.firstOfKey);
    again.attempt = this.attempt;
    again.firstFailure = this.firstFailure;
    return again;
  }

  /** Ownership is gone: nothing more is sent for it, and its handler is told. */
  lose(): void {
    this.state = 'lost';
    this.controller?.abort(lostReason());
  }
}

/** Messages of a batch that threw: they run together again, and in halves after the second throw (F7). */
export interface Cohort {
  members: Held[];
  throws: number;
}

function lostReason(): DOMException {
  return new DOMException(
    'this delivery can no longer be settled: it was lost, revoked or ran past its deadline',
    'AbortError',
  );
}
