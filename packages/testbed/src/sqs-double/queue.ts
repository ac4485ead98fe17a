import { createHash, randomUUID } from 'node:crypto';
import { checkSend, md5, md5OfAttributes, type MessageAttributes, type SendInput } from './message-rules.ts';
import { allowsRedrive, type QueueAttributes, redrivePolicyOf } from './queue-rules.ts';
import { invalidValue, SqsError } from './sqs-error.ts';

/** What a queue needs of the account that it is in. */
export interface Account {
  /** Milliseconds since the epoch. */
  now(): number;
  /** From 0 to 1. */
  random(): number;
  find(arn: string): Queue | undefined;
  /** Most messages that one queue hands out at once, and how far a FIFO queue is searched. */
  readonly mostInFlight: number;
  /** Of a standard queue: whether receives are in a random order, and how often a message is handed out once more. */
  readonly shuffles: boolean;
  readonly duplicates: number;
  /** So many more are handed out twice for certain; counted down. */
  repeats: number;
}

/** A message as it lies in a queue. Times in ms since the epoch. */
export interface Stored {
  id: string;
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly traceHeader: string | undefined;
  readonly group: string | undefined;
  dedupId: string | undefined;
  sequence: bigint;
  sent: number;
  /** Hidden until then. */
  visibleAt: number;
  count: number;
  firstReceived: number;
  receivedAt: number;
  /** The one receipt that counts. */
  handle: string | null;
  sourceArn: string | null;
  deleted: boolean;
}

interface Attempt {
  readonly at: number;
  readonly messages: readonly { readonly stored: Stored; readonly handle: string }[];
}

interface Waiter {
  readonly max: number;
  readonly visibility: number;
  readonly attemptId: string | undefined;
  readonly end: (messages: readonly Stored[]) => void;
}

export interface ReceiveOptions {
  readonly max: number;
  /** Seconds. */
  readonly visibility: number;
  readonly wait: number;
  readonly attemptId: string | undefined;
}

/** The five minutes of deduplication and of receive attempts. */
const MEMORY = 300_000;
const MOST_HELD = 43_200;

/**
 * One queue, standard or FIFO. The rule from which all of FIFO follows: a message that is hidden, in flight or delayed,
 * hides every later message of its group, no earlier one, and no other group.
 */
export class Queue {
  readonly name: string;
  readonly arn: string;
  attributes: QueueAttributes;
  readonly created: number;
  modified: number;
  readonly #account: Account;
  #messages: Stored[] = [];
  readonly #handles = new Map<string, Stored>();
  readonly #dedup = new Map<string, { readonly at: number; readonly stored: Stored; readonly id: string }>();
  readonly #attempts = new Map<string, Attempt>();
  readonly #waiters = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #sequence = 18_850_000_000_000_000_000n;
  #purgedAt = -Infinity;

  constructor(name: string, arn: string, attributes: QueueAttributes, account: Account) {
    this.name = name;
    this.arn = arn;
    this.attributes = attributes;
    this.#account = account;
    this.created = this.modified = account.now();
  }

  get fifo(): boolean {
    return this.attributes['FifoQueue'] === 'true';
  }

  /** For a spy: nothing is touched. */
  get messages(): readonly Stored[] {
    return this.#messages;
  }

  allows(source: string): boolean {
    return allowsRedrive(this.attributes, source);
  }

  send(input: SendInput): Record<string, string | undefined> {
    const { fifo } = this;
    const contentDedup = this.attributes['ContentBasedDeduplication'] === 'true';
    checkSend(input, { fifo, mostBytes: Number(this.attributes['MaximumMessageSize']), contentDedup });
    const { MessageBody: body = '', MessageAttributes: attributes = {}, MessageGroupId: group } = input;
    const dedupId =
      input.MessageDeduplicationId ?? (fifo ? createHash('sha256').update(body).digest('hex') : undefined);
    const first = dedupId === undefined ? undefined : this.#seen(group, dedupId);
    const stored = first?.stored ?? this.#store(input, body, attributes, group, dedupId);
    this.wake();
    return {
      MessageId: first?.id ?? stored.id,
      MD5OfMessageBody: md5(body),
      MD5OfMessageAttributes: md5OfAttributes(attributes),
      SequenceNumber: fifo ? String(stored.sequence).padStart(20, '0') : undefined,
    };
  }

  /** Waits for something to come, so long as is asked for. A client that goes away does not end its wait. */
  receive({ max, visibility, wait, attemptId }: ReceiveOptions): Promise<readonly Stored[]> {
    if (!this.fifo && wait === 0 && this.#inFlight() >= this.#account.mostInFlight)
      throw new SqsError('OverLimit', 'Too many messages are in flight.', 403);
    const messages = this.#take(max, visibility, attemptId);
    if (messages.length > 0 || wait === 0) return Promise.resolve(messages);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        max,
        visibility,
        attemptId,
        end: (found) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(found);
        },
      };
      const timer = setTimeout(() => waiter.end([]), wait * 1_000);
      this.#waiters.add(waiter);
      this.wake();
    });
  }

  delete(handle: string): void {
    const stored = this.#known(handle);
    if (stored.deleted) return;
    if (stored.handle !== handle) {
      if (this.fifo)
        throw invalidValue(
          `Value ${handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`,
        );
      return; // an old receipt is said to have worked, and has done nothing
    }
    if (this.fifo && stored.visibleAt <= this.#account.now())
      throw invalidValue(
        `Value ${handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`,
      );
    this.#remove(stored);
    if (this.fifo) this.wake();
  }

  changeVisibility(handle: string, seconds: number): void {
    const stored = this.#known(handle);
    if (!(Number.isInteger(seconds) && seconds >= 0 && seconds <= MOST_HELD))
      throw invalidValue(
        `Value ${seconds} for parameter VisibilityTimeout is invalid. Reason: must be between 0 and 43200.`,
      );
    if (stored.deleted || stored.handle !== handle)
      throw invalidValue(
        `Value ${handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
      );
    const now = this.#account.now();
    if (now - stored.receivedAt + seconds * 1_000 > MOST_HELD * 1_000)
      throw invalidValue('Total VisibilityTimeout for the message is beyond the limit [43200 seconds]');
    stored.visibleAt = now + seconds * 1_000;
    this.wake();
  }

  purge(): void {
    const now = this.#account.now();
    if (now - this.#purgedAt < 60_000)
      throw new SqsError('PurgeQueueInProgress', 'Only one PurgeQueue operation is allowed every 60 seconds.', 403);
    this.#purgedAt = now;
    for (const stored of this.#messages) stored.deleted = true;
    this.#messages = [];
    this.#dedup.clear();
  }

  /** Visible, blocked ones included; in flight; and delayed. */
  counts(): { readonly visible: number; readonly inFlight: number; readonly delayed: number } {
    this.#sweep();
    const now = this.#account.now();
    const hidden = this.#messages.filter(({ visibleAt }) => visibleAt > now);
    const inFlight = hidden.filter(({ count }) => count > 0).length;
    return { visible: this.#messages.length - hidden.length, inFlight, delayed: hidden.length - inFlight };
  }

  /** A dead letter of another queue, or a message that is moved back: with a new identity where SQS gives one. */
  arrive(stored: Stored): void {
    this.#messages.push({ ...stored, sequence: this.#next(), visibleAt: this.#account.now(), handle: null });
    this.wake();
  }

  /** Takes all that is visible, for a move task. */
  takeVisible(): Stored[] {
    const now = this.#account.now();
    const taken = this.#messages.filter(({ visibleAt }) => visibleAt <= now);
    for (const stored of taken) this.#remove(stored);
    return taken;
  }

  /** Ends every wait with nothing. */
  close(): void {
    clearTimeout(this.#timer);
    for (const waiter of this.#waiters) waiter.end([]);
  }

  /** Something has become visible, or may have: who waits longest is asked first. */
  wake(): void {
    clearTimeout(this.#timer);
    for (const waiter of this.#waiters) {
      const found = this.#take(waiter.max, waiter.visibility, waiter.attemptId);
      if (found.length > 0) waiter.end(found);
    }
    if (this.#waiters.size === 0) return;
    const now = this.#account.now();
    const next = Math.min(...this.#messages.map(({ visibleAt }) => visibleAt).filter((at) => at > now));
    if (next !== Infinity) this.#timer = setTimeout(() => this.wake(), Math.min(next - now, 2 ** 31 - 1));
  }

  #store(
    input: SendInput,
    body: string,
    attributes: MessageAttributes,
    group: string | undefined,
    dedupId: string | undefined,
  ): Stored {
    const now = this.#account.now();
    const delay = (this.fifo ? undefined : input.DelaySeconds) ?? Number(this.attributes['DelaySeconds']);
    const stored: Stored = {
      id: randomUUID(),
      body,
      attributes,
      traceHeader: input.MessageSystemAttributes?.['AWSTraceHeader']?.StringValue,
      group,
      dedupId,
      sequence: this.#next(),
      sent: now,
      visibleAt: now + delay * 1_000,
      count: 0,
      firstReceived: 0,
      receivedAt: 0,
      handle: null,
      sourceArn: null,
      deleted: false,
    };
    this.#messages.push(stored);
    if (dedupId !== undefined) this.#dedup.set(this.#scope(group, dedupId), { at: now, stored, id: stored.id });
    return stored;
  }

  #next(): bigint {
    this.#sequence += 256n;
    return this.#sequence;
  }

  #scope(group: string | undefined, dedupId: string): string {
    return this.attributes['DeduplicationScope'] === 'messageGroup' ? `${group} ${dedupId}` : dedupId;
  }

  #seen(group: string | undefined, dedupId: string): { readonly stored: Stored; readonly id: string } | undefined {
    if (!this.fifo) return undefined;
    const seen = this.#dedup.get(this.#scope(group, dedupId));
    return seen !== undefined && this.#account.now() - seen.at < MEMORY ? seen : undefined;
  }

  #inFlight(): number {
    return this.counts().inFlight;
  }

  #take(max: number, visibility: number, attemptId: string | undefined): readonly Stored[] {
    this.#sweep();
    const again = attemptId === undefined || !this.fifo ? null : this.#repeated(attemptId, visibility);
    if (again !== null) return again;
    const room = Math.min(max, this.#account.mostInFlight - this.#inFlight());
    const taken: Stored[] = [];
    const blocked = new Set<string>();
    const now = this.#account.now();
    for (const stored of this.#inOrder()) {
      if (taken.length >= room) break;
      const group = this.fifo ? (stored.group ?? '') : null;
      if (group !== null && blocked.has(group)) continue;
      if (stored.visibleAt > now) {
        if (group !== null) blocked.add(group);
        continue;
      }
      if (this.#moved(stored)) continue;
      taken.push(stored);
    }
    for (const stored of taken) this.#hand(stored, visibility);
    if (attemptId !== undefined && this.fifo && taken.length > 0)
      this.#attempts.set(attemptId, {
        at: now,
        messages: taken.map((stored) => ({ stored, handle: stored.handle ?? '' })),
      });
    return taken;
  }

  /** A receive whose answer was lost gives the same messages again, if none of them was touched since. */
  #repeated(attemptId: string, visibility: number): readonly Stored[] | null {
    const attempt = this.#attempts.get(attemptId);
    const now = this.#account.now();
    if (attempt === undefined || now - attempt.at >= MEMORY) return null;
    if (attempt.messages.some(({ stored, handle }) => stored.deleted || stored.handle !== handle)) return null;
    for (const { stored } of attempt.messages) stored.visibleAt = now + visibility * 1_000;
    return attempt.messages.map(({ stored }) => stored);
  }

  #hand(stored: Stored, visibility: number): void {
    const now = this.#account.now();
    stored.count++;
    stored.firstReceived ||= now;
    stored.receivedAt = now;
    const again = !this.fifo && (this.#account.repeats > 0 || this.#account.random() < this.#account.duplicates);
    if (again && this.#account.repeats > 0) this.#account.repeats--;
    // As on a server that had missed the delete: whatever becomes of this one, there is another.
    if (again) this.#messages.push({ ...stored, visibleAt: now });
    stored.visibleAt = now + visibility * 1_000;
    stored.handle = randomUUID();
    this.#handles.set(stored.handle, stored);
  }

  /** To the dead-letter queue, where it has been received too often. That does not hold back its group. */
  #moved(stored: Stored): boolean {
    const policy = redrivePolicyOf(this.attributes);
    if (policy === null || stored.count < policy.maxReceiveCount) return false;
    const target = this.#account.find(policy.deadLetterTargetArn);
    if (target === undefined) return false;
    this.#remove(stored);
    const now = this.#account.now();
    // On FIFO the clock starts again, and the message's id takes the place of its deduplication id.
    const fresh = this.fifo ? { sent: now, dedupId: stored.id } : {};
    target.arrive({ ...stored, ...fresh, deleted: false, sourceArn: this.arn });
    return true;
  }

  /** Standard: as stored, or any. FIFO: group by group, the one with the oldest message first. */
  #inOrder(): readonly Stored[] {
    if (!this.fifo) {
      if (!this.#account.shuffles) return [...this.#messages];
      return this.#messages
        .map((stored) => ({ stored, at: this.#account.random() }))
        .toSorted((a, b) => a.at - b.at)
        .map(({ stored }) => stored);
    }
    const groups = new Map<string, Stored[]>();
    for (const stored of this.#messages.slice(0, this.#account.mostInFlight)) {
      const group = groups.get(stored.group ?? '');
      if (group === undefined) groups.set(stored.group ?? '', [stored]);
      else group.push(stored);
    }
    return [...groups.values()].flat();
  }

  #sweep(): void {
    const oldest = this.#account.now() - Number(this.attributes['MessageRetentionPeriod']) * 1_000;
    if ((this.#messages[0]?.sent ?? Infinity) >= oldest) return;
    for (const stored of this.#messages) if (stored.sent < oldest) stored.deleted = true;
    this.#messages = this.#messages.filter(({ deleted }) => !deleted);
  }

  #remove(stored: Stored): void {
    stored.deleted = true;
    this.#messages.splice(this.#messages.indexOf(stored), 1);
  }

  #known(handle: string): Stored {
    const stored = this.#handles.get(handle);
    if (stored !== undefined) return stored;
    throw new SqsError('ReceiptHandleIsInvalid', `The input receipt handle "${handle}" is not a valid receipt handle.`);
  }
}
