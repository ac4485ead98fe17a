import type { SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs';
import type { SendOutcome } from '@waybill/core/adapter';
import { classify, entryError, type FailedEntry, isUndone } from './errors.ts';
import { MOST_ENTRIES } from './supports.ts';

/** Requests under way to one destination at once. */
const MOST_REQUESTS = 16;

type Entry = SendMessageBatchRequestEntry;

/** A queue, or an SNS topic. */
export interface Door {
  /** Of one request. */
  readonly mostBytes: number;
  /** One request of up to ten. Throws what the SDK throws. */
  post(entries: readonly Entry[]): Promise<{
    readonly Successful?:
      | readonly { readonly Id?: string | undefined; readonly MessageId?: string | undefined }[]
      | undefined;
    readonly Failed?: readonly FailedEntry[] | undefined;
  }>;
}

/** One message on its way through one door. */
export interface Parcel {
  readonly entry: Omit<Entry, 'Id'>;
  readonly bytes: number;
  outcome: SendOutcome;
}

/** Messages that go one after the other, each when the one before it is confirmed. */
interface Run {
  readonly parcels: readonly Parcel[];
  next: number;
  sending: boolean;
  over: boolean;
  readonly ended: () => void;
}

/**
 * Packs what concurrent calls send through one door into requests of ten messages, and of the bytes that it takes. A request goes when it is full,
 * or when none is under way: so an idle sender sends at once, and a busy one pays for full requests only.
 *
 * Of a run there is never more than one message under way: were a later one stored and an earlier one refused, nothing
 * could repair the order, since sending the later one again would be taken for a duplicate.
 */
export class Sender {
  readonly #door: Door;
  #ready: Run[] = [];
  #requests = 0;
  #scheduled = false;

  constructor(door: Door) {
    this.#door = door;
  }

  /** Of one message, with its headers. */
  get mostBytes(): number {
    return this.#door.mostBytes;
  }

  /** Resolves when every parcel has its outcome: those behind one that was not confirmed stay `skipped`. */
  send(runs: readonly (readonly Parcel[])[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let left = runs.length;
      const ended = (): void => {
        if (--left > 0) return;
        signal.removeEventListener('abort', give);
        resolve();
      };
      const mine = runs.map((parcels): Run => ({ parcels, next: 0, sending: false, over: false, ended }));
      const give = (): void => this.#withdraw(mine, signal.reason);
      if (left === 0) resolve();
      signal.addEventListener('abort', give, { once: true });
      for (const run of mine) this.#ready.push(run);
      if (signal.aborted) give();
      else this.#schedule();
    });
  }

  /** The caller has given up: nothing more of it is sent, and what is under way may be stored. */
  #withdraw(runs: readonly Run[], reason: unknown): void {
    const mine = new Set(runs);
    this.#ready = this.#ready.filter((run) => !mine.has(run));
    for (const run of runs) {
      if (run.over) continue;
      (run.parcels[run.next] as Parcel).outcome = { status: run.sending ? 'unknown' : 'rejected', error: reason };
      end(run);
    }
  }

  /** A microtask later, so that what one turn sends goes together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#ready.length > 0 && this.#requests < MOST_REQUESTS) {
      const { count, full } = this.#packed();
      if (!full && this.#requests > 0) return;
      void this.#request(this.#ready.splice(0, count));
    }
  }

  /** How many go into the next request, and whether no more would. */
  #packed(): { count: number; full: boolean } {
    let bytes = 0;
    for (const [count, run] of this.#ready.entries()) {
      bytes += run.parcels[run.next]?.bytes ?? 0;
      if (count === MOST_ENTRIES || (count > 0 && bytes > this.#door.mostBytes)) return { count, full: true };
    }
    return { count: this.#ready.length, full: this.#ready.length === MOST_ENTRIES };
  }

  async #request(runs: readonly Run[]): Promise<void> {
    this.#requests++;
    for (const run of runs) run.sending = true;
    const outcomes = await this.#post(runs.map(({ parcels, next }) => parcels[next] as Parcel));
    this.#requests--;
    for (const [index, run] of runs.entries()) {
      run.sending = false;
      if (run.over) continue;
      const outcome = outcomes[index] as SendOutcome;
      (run.parcels[run.next] as Parcel).outcome = outcome;
      run.next++;
      if (outcome.status === 'confirmed' && run.next < run.parcels.length) this.#ready.push(run);
      else end(run);
    }
    this.#schedule();
  }

  /** Never rejects. */
  async #post(parcels: readonly Parcel[]): Promise<SendOutcome[]> {
    try {
      const reply = await this.#door.post(parcels.map(({ entry }, index) => ({ ...entry, Id: String(index) })));
      const outcomes = parcels.map((): SendOutcome | null => null);
      for (const { Id, MessageId } of reply.Successful ?? [])
        outcomes[Number(Id)] = {
          status: 'confirmed',
          position: MessageId === undefined ? null : { 0: MessageId },
        };
      for (const failed of reply.Failed ?? []) {
        const error = entryError(failed);
        const code = classify(error);
        // By the code: `SenderFault` is not to be relied on.
        const undone = code !== 'unavailable' && code !== 'unclassified';
        outcomes[Number(failed.Id)] = { status: undone ? 'rejected' : 'unknown', error };
      }
      return outcomes.map((outcome) => outcome ?? unmentioned());
    } catch (error) {
      return parcels.map(() => ({ status: isUndone(error) ? 'rejected' : 'unknown', error }));
    }
  }
}

/** What is in neither list may be stored. */
function unmentioned(): SendOutcome {
  return { status: 'unknown', error: entryError({ Message: 'SQS did not mention it' }) };
}

function end(run: Run): void {
  run.over = true;
  run.ended();
}
