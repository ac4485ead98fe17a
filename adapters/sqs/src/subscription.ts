import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AdapterSubscription,
  type Delivery,
  patiently,
  type Receipt as Opaque,
  type SubscriptionSpec,
  WaybillError,
} from '@waybill/core/adapter';
import type { Message } from '@aws-sdk/client-sqs';
import { deliveryOf } from './delivery.ts';
import { classify, isAnswer } from './errors.ts';
import type { Settings } from './options.ts';
import { marginOf, type Receipt, Receipts } from './receipts.ts';
import { MOST_ENTRIES } from './supports.ts';
import type { Topology } from './topology.ts';

/** What a receive waits for a poll; a longer one is joined by the next. */
const ANSWER = 900;
/** Seconds of a poll under traffic: it asks all of SQS's servers, and lets a close be short. */
const SHORT_WAIT = 1;
/** Without a message for this long, polls are as long as allowed: they are paid for by the call. */
const IDLE = 60_000;
const MOST_POLLS = 8;
/** So many polls may fail in a row for a reason that passes: to end the subscription would cost the leases it holds. */
const MOST_FAILURES = 8;
/** Pauses between receives that neither wait nor find anything, the longer the longer nothing came. */
const PACE_MIN = 20;
const PACE_MAX = 400;
const RETRY_MIN = 100;
const RETRY_MAX = 5_000;
/** Messages whose give-backs are remembered. */
const MOST_REMEMBERED = 10_000;
/** What a close waits for calls under way, on top of a poll's own time. */
const GRACE = 2_000;

/** What one receive has brought. `began`: when it was sent, monotonic ms; the lease counts from there. */
interface Found {
  readonly messages: readonly Message[];
  readonly began: number;
}

export interface SubscriptionOptions {
  readonly topology: Topology;
  readonly queue: string;
  readonly spec: Pick<SubscriptionSpec, 'lease' | 'group' | 'inbox'>;
  readonly settings: Settings;
}

/** One consumer of one queue: long polls, as many as the credit allows, and the leases of what they bring. */
export class SqsSubscription implements AdapterSubscription {
  readonly #topology: Topology;
  readonly #queue: string;
  readonly #settings: Settings;
  readonly #group: string | null;
  /** Seconds for which a receive hides what it takes. */
  readonly #visibility: number;
  readonly #receipts: Receipts;
  readonly #polls = new Set<Promise<void>>();
  /** Ends the waiting of a close, and then the polls. */
  readonly #stop = new AbortController();
  readonly #closed = new AbortController();
  /** Handed out, or about to be, and not settled. */
  readonly #held = new Set<Receipt>();
  /** Receives on FIFO whose answer was lost: asked again under the same id, they give the same messages. */
  readonly #unanswered: { readonly id: string; readonly count: number }[] = [];
  /**
   * How often each message was given back here. SQS counts those arrivals, too, but a process that gives back is alive: it
   * was not killed by that message (R10).
   */
  readonly #givenBack = new Map<string, number>();
  #ready: Delivery[] = [];
  #asked = 0;
  /** Polls that may be under way at once: more while they come back full. */
  #width = 1;
  #lastCame = performance.now();
  #pace = PACE_MIN;
  #failures = 0;
  #retryAt = 0;
  #failure: unknown;
  #arrived: (() => void) | null = null;
  #closing: Promise<void> | null = null;

  constructor({ topology, queue, spec, settings }: SubscriptionOptions) {
    this.#topology = topology;
    this.#queue = queue;
    this.#settings = settings;
    this.#group = spec.inbox === null ? null : spec.group;
    this.#visibility = Math.max(2, Math.ceil(spec.lease / 1_000));
    this.#receipts = new Receipts(topology, queue, settings.fifo, this.#closed.signal);
    setMaxListeners(0, this.#stop.signal); // every poll listens
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  get reserved(): number {
    return this.#asked + this.#ready.length;
  }

  async receive(max: number, signal: AbortSignal): Promise<Delivery[]> {
    if (this.#closing !== null) throw new WaybillError('closed', `${this.#settings.name}: the subscription is closed`);
    this.#startPolls(max);
    if (this.#ready.length === 0 && this.#failure === undefined) {
      const pause = this.#polls.size === 0 ? this.#retryAt - performance.now() : ANSWER;
      const arrival = new Promise<void>((resolve) => (this.#arrived = resolve));
      await patiently(arrival, Math.min(ANSWER, Math.max(10, pause)), signal); // the next call joins the polls
    }
    const now = performance.now(); // what waited here beyond its lease is somebody else's
    this.#ready = this.#ready.filter(({ leaseUntil }) => leaseUntil === null || leaseUntil > now);
    if (this.#ready.length === 0 && this.#failure !== undefined) throw this.#failure;
    return this.#ready.splice(0, max);
  }

  async ack(receipts: readonly Opaque[]): Promise<readonly ('ok' | 'lost')[]> {
    if (this.#closing !== null) return receipts.map(() => 'lost'); // all was given back
    // What was given back is nobody's: its receipt would still settle it.
    const mine = (receipts as readonly Receipt[]).filter((receipt) => this.#held.has(receipt));
    const results = await this.#receipts.delete(mine);
    this.#forget(mine);
    for (const { id } of mine) this.#givenBack.delete(id);
    const known = new Map(mine.map((receipt, index) => [receipt, results[index]]));
    return receipts.map((receipt) => known.get(receipt as Receipt) ?? 'lost');
  }

  async nack(receipts: readonly Opaque[], { delay }: { delay: number }): Promise<void> {
    if (this.#closing !== null) return;
    this.#forget(receipts);
    for (const { id } of receipts as readonly Receipt[]) this.#givenBack.set(id, (this.#givenBack.get(id) ?? 0) + 1);
    await this.#receipts.giveBack(receipts as readonly Receipt[], Math.ceil(delay / 1_000));
  }

  async extend(receipts: readonly Opaque[], ms: number): Promise<readonly (number | 'lost')[]> {
    if (this.#closing !== null) return receipts.map(() => 'lost');
    return this.#receipts.extend(receipts as readonly Receipt[], Math.max(2, Math.ceil(ms / 1_000)));
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#closed.abort();
    // A poll that is dropped may still take messages, and hide them for a lease: it is let end.
    const patience = this.#failure === undefined ? this.#settings.pollWait + GRACE : GRACE;
    await patiently(Promise.all(this.#polls), patience);
    this.#stop.abort();
    const left = [...this.#held].filter(({ until }) => until > performance.now()).toReversed();
    this.#ready = [];
    this.#held.clear();
    if (left.length > 0) await patiently(this.#receipts.giveBack(left, 0), GRACE);
  }

  #forget(receipts: readonly Opaque[]): void {
    for (const receipt of receipts) this.#held.delete(receipt as Receipt);
    if (this.#givenBack.size > MOST_REMEMBERED) this.#givenBack.clear();
  }

  /** One poll, or, while they come back full, as many as there is credit for. */
  #startPolls(max: number): void {
    if (this.#failure !== undefined || performance.now() < this.#retryAt) return;
    for (let room = max - this.reserved; room > 0 && this.#polls.size < this.#width; room = max - this.reserved) {
      if (this.#polls.size > 0 && room < MOST_ENTRIES) return;
      const poll: Promise<void> = this.#poll(Math.min(room, MOST_ENTRIES)).finally(() => this.#polls.delete(poll));
      this.#polls.add(poll);
    }
  }

  /** Never rejects. */
  async #poll(room: number): Promise<void> {
    const attempt = this.#unanswered[0]?.count === room ? this.#unanswered.shift() : undefined;
    const first = performance.now();
    this.#asked += room;
    try {
      let found = await this.#ask(room, attempt?.id ?? randomUUID());
      // Where SQS is not to wait, the waiting is done here.
      for (; this.#goesOn(found, first); this.#pace = Math.min(PACE_MAX, this.#pace * 2)) {
        await sleep(this.#pace, undefined, { signal: this.#closed.signal }).catch(() => undefined);
        if (this.#closing !== null) break;
        found = await this.#ask(room, randomUUID());
      }
      this.#came(found, room);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#asked -= room;
      this.#arrived?.();
    }
  }

  #goesOn({ messages }: Found, since: number): boolean {
    const ended = this.#closing !== null || performance.now() - since > ANSWER;
    return this.#settings.pollWait === 0 && messages.length === 0 && !ended;
  }

  async #ask(room: number, id: string): Promise<Found> {
    const { fifo, pollWait } = this.#settings;
    const began = performance.now();
    const longest = pollWait / 1_000;
    const wanted = began - this.#lastCame < IDLE ? Math.min(SHORT_WAIT, longest) : longest;
    // The lease is counted from here, so most of it must be left when the poll ends.
    const wait = Math.min(wanted, Math.max(SHORT_WAIT, Math.floor(this.#visibility / 3)));
    try {
      const { Messages = [] } = await this.#topology.call(
        'ReceiveMessage',
        this.#queue,
        {
          MaxNumberOfMessages: room,
          WaitTimeSeconds: wait,
          VisibilityTimeout: this.#visibility,
          MessageSystemAttributeNames: ['All'],
          MessageAttributeNames: ['All'],
          ...(fifo && { ReceiveRequestAttemptId: id }),
        },
        { patience: wait * 1_000, signal: this.#stop.signal },
      );
      return { messages: Messages, began };
    } catch (error) {
      if (fifo && !isAnswer(error)) this.#unanswered.push({ id, count: room });
      throw error;
    }
  }

  #came({ messages, began }: Found, asked: number): void {
    this.#failures = this.#retryAt = 0;
    if (messages.length === 0) {
      this.#width = 1;
      return;
    }
    this.#lastCame = performance.now();
    this.#pace = PACE_MIN;
    if (messages.length === asked) this.#width = Math.min(MOST_POLLS, this.#width * 2);
    const until = began + this.#visibility * 1_000 - marginOf(this.#visibility);
    for (const message of messages) {
      const id = message.MessageId ?? '';
      const receipt: Receipt = { id, handle: message.ReceiptHandle ?? '', since: began, until };
      this.#held.add(receipt);
      const uncounted = this.#givenBack.get(id) ?? 0;
      this.#ready.push(deliveryOf(message, receipt, this.#group, uncounted, this.#settings));
    }
  }

  #failed(error: unknown): void {
    const code = classify(error);
    const passes = code === 'unavailable' || code === 'throttled' || code === 'timeout' || code === 'unclassified';
    this.#width = 1;
    if (!passes || ++this.#failures >= MOST_FAILURES) this.#failure ??= error;
    const pause = Math.min(RETRY_MAX, RETRY_MIN * 2 ** (this.#failures - 1));
    this.#retryAt = performance.now() + pause * (0.75 + 0.5 * Math.random());
  }
}
