import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERROR_CODES } from '@waybill/core/adapter';
import { classify, entryError, type FailedEntry, isLeaseLost } from './errors.ts';
import { MOST_ENTRIES, MOST_HELD } from './supports.ts';
import type { Topology } from './topology.ts';

/** What settles one delivery. */
export interface Receipt {
  /** SQS's id of the message. */
  readonly id: string;
  readonly handle: string;
  /** Monotonic ms: when the receive that brought it began. */
  readonly since: number;
  /** Monotonic ms: the end of the lease, on the safe side. */
  until: number;
}

/** What became of one entry: done, or why not. */
type Result = 'ok' | 'lost' | { readonly error: unknown };

const RETRY_MIN = 50;
const RETRY_MAX = 1_000;
/** How often a give-back is tried. The end of the lease gives back, too. */
const GIVE_BACK_TRIES = 3;

/** Milliseconds by which a lease is taken to end early. */
export const marginOf = (visibility: number): number => Math.min(1_000, visibility * 100);

/** Settles and extends deliveries of one queue, ten at a time. */
export class Receipts {
  readonly #topology: Topology;
  readonly #queue: string;
  readonly #fifo: boolean;
  readonly #closing: AbortSignal;

  constructor(topology: Topology, queue: string, fifo: boolean, closing: AbortSignal) {
    this.#topology = topology;
    this.#queue = queue;
    this.#fifo = fifo;
    this.#closing = closing;
  }

  /**
   * Deletes. What failed is deleted again by the same receipt, which changes nothing where it was deleted already, until
   * its lease ends; then nobody knows, and the message may come again.
   */
  async delete(receipts: readonly Receipt[]): Promise<('ok' | 'lost')[]> {
    const results = await this.#each(receipts, (chunk) =>
      this.#untilDone(chunk, Infinity, (left) => this.#deleteOnce(left)),
    );
    return results.map((result) => (result === 'ok' ? 'ok' : 'lost'));
  }

  /** Makes visible after so many seconds. What can't be given back comes when its lease ends. */
  async giveBack(receipts: readonly Receipt[], seconds: number): Promise<void> {
    const change = (chunk: readonly Receipt[]): Promise<Result[]> =>
      this.#untilDone(chunk, GIVE_BACK_TRIES, (left) =>
        this.#change(left, ({ since }) =>
          Math.min(seconds, MOST_HELD - Math.ceil((performance.now() - since) / 1_000)),
        ),
      ).catch((error: unknown) => chunk.map((): Result => ({ error })));
    if (!this.#fifo) return void (await this.#each(receipts, change));
    // In the order given, one after another: a message is not to be seen before those of its group that follow it.
    for (let at = 0; at < receipts.length; at += MOST_ENTRIES) await change(receipts.slice(at, at + MOST_ENTRIES));
  }

  /** Per receipt: the new end of its lease, the old one where that could not be changed, or `lost`. */
  async extend(receipts: readonly Receipt[], visibility: number): Promise<(number | 'lost')[]> {
    const began = performance.now();
    const seconds = ({ since }: Receipt): number =>
      Math.min(visibility, MOST_HELD - 1 - Math.ceil((began - since) / 1_000));
    const results = await this.#each(receipts, async (chunk) => {
      const due = chunk.filter((receipt) => seconds(receipt) > 0);
      const changed = due.length === 0 ? [] : await this.#change(due, seconds);
      return chunk.map((receipt): Result => changed[due.indexOf(receipt)] ?? { error: null });
    });
    return receipts.map((receipt, index) => {
      const result = results[index];
      if (result === 'lost') return 'lost';
      if (result === 'ok') receipt.until = began + seconds(receipt) * 1_000 - marginOf(visibility);
      return receipt.until;
    });
  }

  /** In requests of ten, all at once. Rejects when nothing is known about any. */
  async #each(
    receipts: readonly Receipt[],
    use: (chunk: readonly Receipt[]) => Promise<readonly Result[]>,
  ): Promise<Result[]> {
    const chunks: (readonly Receipt[])[] = [];
    for (let at = 0; at < receipts.length; at += MOST_ENTRIES) chunks.push(receipts.slice(at, at + MOST_ENTRIES));
    const settled = await Promise.allSettled(chunks.map(use));
    const [first] = settled;
    if (first?.status === 'rejected' && settled.every(({ status }) => status === 'rejected')) throw first.reason;
    return settled.flatMap((one, index) =>
      one.status === 'fulfilled'
        ? one.value
        : (chunks[index] ?? []).map((): Result => ({ error: one.reason as unknown })),
    );
  }

  /** Again and again, with growing pauses, what failed for a reason that passes. */
  async #untilDone(
    receipts: readonly Receipt[],
    tries: number,
    use: (left: readonly Receipt[]) => Promise<readonly Result[]>,
  ): Promise<Result[]> {
    const results = new Map<Receipt, Result>();
    let left = receipts;
    for (let pause = RETRY_MIN, nth = 1; ; pause = Math.min(RETRY_MAX, pause * 2), nth++) {
      let again = left;
      try {
        const answers = await use(left);
        for (const [index, receipt] of left.entries()) results.set(receipt, answers[index] as Result);
        again = left.filter((receipt) => typeof results.get(receipt) === 'object');
      } catch (error) {
        if (!passes(error)) throw error;
        for (const receipt of left) results.set(receipt, { error });
      }
      const now = performance.now();
      left = again.filter(({ until }) => until > now + pause);
      if (left.length === 0 || nth >= tries || this.#closing.aborted)
        return receipts.map((receipt) => results.get(receipt) as Result);
      await sleep(pause * (0.75 + 0.5 * Math.random()));
    }
  }

  async #deleteOnce(receipts: readonly Receipt[]): Promise<Result[]> {
    const Entries = receipts.map(({ handle }, index) => ({ Id: String(index), ReceiptHandle: handle }));
    return resultsOf(receipts, await this.#topology.call('DeleteMessageBatch', this.#queue, { Entries }));
  }

  async #change(receipts: readonly Receipt[], seconds: (receipt: Receipt) => number): Promise<Result[]> {
    const Entries = receipts.map((receipt, index) => ({
      Id: String(index),
      ReceiptHandle: receipt.handle,
      VisibilityTimeout: Math.max(0, seconds(receipt)),
    }));
    return resultsOf(receipts, await this.#topology.call('ChangeMessageVisibilityBatch', this.#queue, { Entries }));
  }
}

interface BatchReply {
  readonly Successful?: readonly { readonly Id: string | undefined }[] | undefined;
  readonly Failed?: readonly FailedEntry[] | undefined;
}

function resultsOf(receipts: readonly Receipt[], { Successful, Failed }: BatchReply): Result[] {
  const results = receipts.map((): Result => ({ error: new Error('SQS did not mention it') }));
  for (const { Id } of Successful ?? []) results[Number(Id)] = 'ok';
  for (const failed of Failed ?? []) {
    const error = entryError(failed);
    results[Number(failed.Id)] = isLeaseLost(error) ? 'lost' : { error };
  }
  return results;
}

/** A lost connection, too: whoever calls next notices it, and a lease may still be there when it stands again. */
function passes(error: unknown): boolean {
  const code = classify(error);
  return ERROR_CODES[code].retriable;
}
