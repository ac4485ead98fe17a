import { assign, type StartPosition } from '@waybill/core/adapter';
import { Cursor } from './cursor.ts';
import { BrokerError } from './errors.ts';
import type { Log } from './log.ts';
import type { Store } from './store.ts';
import type { MemorySubscription } from './subscription.ts';
import { Alarm } from './timers.ts';

/** How long an interrupted replay may take to come back, before it would begin anew. */
const replayGrace = 60_000;

/**
 * A group of one topic: its cursors, its members, and, where order is kept, who owns which partition. The inbox has
 * the topic's partitions and the same owners. Without order every member reads everything, first come first served.
 */
export class Group {
  readonly name: string;
  readonly store: Store;
  /** Whether a partition has one owner at a time. */
  readonly exclusive: boolean;
  /** Made by a replay, and gone when that ends. */
  readonly #passing: boolean;
  readonly topic: Cursor[];
  inbox: Cursor[] = [];
  readonly #members = new Map<MemorySubscription, string>();
  readonly #owners: (MemorySubscription | null)[];
  readonly #fences: number[];
  /** Partitions whose owner was asked to let go. */
  readonly #moving = new Set<number>();
  /** Members that were killed, until their session ends. Nobody knows, and they answer nothing. */
  readonly #silent = new Set<MemorySubscription>();
  /** Members with a poll, in the order in which the polls came. */
  readonly #polls = new Set<MemorySubscription>();
  #balancing = false;
  #joined = 0;

  constructor(store: Store, name: string, options: { start: StartPosition; exclusive: boolean; passing: boolean }) {
    this.name = name;
    this.store = store;
    this.exclusive = options.exclusive;
    this.#passing = options.passing;
    const starts = store.logs.map((log) => offsetOf(log, options.start) ?? log.entries.first);
    this.topic = store.logs.map((log, partition) => this.#cursor(log, starts[partition] as number, 'topic'));
    this.#owners = store.logs.map(() => null);
    this.#fences = store.logs.map(() => 0);
  }

  get live(): boolean {
    return this.#members.size > 0;
  }

  get cursors(): readonly Cursor[] {
    return [...this.topic, ...this.inbox];
  }

  /** Adds the inbox, once. Everything in it is for this group. */
  attach(inbox: Store): void {
    if (this.inbox.length > 0) return;
    if (inbox.logs.length !== this.topic.length) {
      throw new BrokerError(
        'invalid',
        `${inbox.name} has ${inbox.logs.length} partitions, its topic ${this.store.name} has ${this.topic.length}`,
      );
    }
    this.inbox = inbox.logs.map((log) => this.#cursor(log, log.entries.first, 'inbox'));
    for (const member of this.#members.keys()) this.#show(member);
  }

  join(member: MemorySubscription): void {
    this.#members.set(member, `${member.spec.consumer}#${++this.#joined}`);
    this.#show(member);
    this.#balanceSoon();
  }

  /** The member goes, and what it held is there for others at once. Returns the partitions that it owned. */
  leave(member: MemorySubscription): number[] {
    if (!this.#members.delete(member)) return [];
    this.#silent.delete(member);
    this.#polls.delete(member);
    const owned = this.#ownedBy(member);
    for (const partition of owned) {
      this.#owners[partition] = null;
      this.#moving.delete(partition);
    }
    member.cursors = [];
    member.releaseHeld(null);
    this.#balanceSoon();
    this.wake();
    return owned;
  }

  /** A replay is over when its reader closes it; one whose connection was lost may come back and go on. */
  finish(at: 'once' | 'last'): void {
    if (!this.#passing) return;
    const { timers } = this.store.broker;
    const end = (): void => {
      if (!this.live) this.store.removeGroup(this);
    };
    if (at === 'once') end();
    else new Alarm(timers, end).by(timers.clock.monotonic() + replayGrace);
  }

  /** The member was killed: it goes when it has been silent for the length of a session. */
  expire(member: MemorySubscription): void {
    this.#silent.add(member);
    const { timers, settings } = this.store.broker;
    const end = (): void => {
      this.leave(member);
      this.finish('last');
    };
    new Alarm(timers, end).by(timers.clock.monotonic() + settings.session);
  }

  /** A poll waits from now on. */
  queue(member: MemorySubscription): void {
    this.#polls.delete(member); // an earlier poll of it may have ended without us
    this.#polls.add(member);
    this.wake();
  }

  /** There may be something for those who wait. */
  wake(): void {
    if (this.#polls.size > 0) this.store.broker.schedule(this);
  }

  /** Answers the polls that it can, in the order in which they came. */
  serve(now: number): void {
    for (const member of this.#polls) if (member.serve(now)) this.#polls.delete(member);
  }

  /** Moves these cursors of the topic; what was handed out from them is void. */
  seek(cursors: readonly Cursor[], to: StartPosition): void {
    const moves = cursors
      .filter((cursor) => cursor.origin === 'topic')
      .map((cursor) => ({ cursor, offset: offsetOf(cursor.log, to) }));
    const now = this.store.broker.clock.monotonic();
    for (const { cursor, offset } of moves) {
      if (offset === null) continue;
      cursor.move(offset);
      this.store.advance(cursor.log, now);
    }
    this.wake();
  }

  #cursor(log: Log, start: number, origin: 'topic' | 'inbox'): Cursor {
    const { timers } = this.store.broker;
    const cursor = new Cursor(log, start, { origin, ordered: this.exclusive, timers, wake: () => this.wake() });
    log.store.advance(log, timers.clock.monotonic());
    return cursor;
  }

  #ownedBy(member: MemorySubscription): number[] {
    return [...this.#owners.keys()].filter((partition) => this.#owners[partition] === member);
  }

  /** Tells a member what to read. */
  #show(member: MemorySubscription): void {
    const mine = (cursor: Cursor): boolean => {
      const { partition } = cursor.log;
      return !this.exclusive || (this.#owners[partition] === member && !this.#moving.has(partition));
    };
    member.cursors = this.cursors.filter(mine);
  }

  /** Later, so that members hear of their partitions after their `subscribe` has resolved. */
  #balanceSoon(): void {
    if (!this.exclusive || this.#balancing) return;
    this.#balancing = true;
    setImmediate(() => {
      this.#balancing = false;
      this.#balance();
    });
  }

  #balance(): void {
    const shares = assign([...this.#members.values()], this.#owners.length);
    for (const [member, name] of this.#members) {
      const wanted = new Set(shares.get(name));
      const surplus = this.#ownedBy(member).filter(
        (partition) => !wanted.has(partition) && !this.#moving.has(partition),
      );
      if (surplus.length > 0 && !this.#silent.has(member)) void this.#revoke(member, surplus);
      const free = [...wanted].filter((partition) => this.#owners[partition] === null);
      if (free.length > 0) this.#give(member, free);
    }
  }

  #give(member: MemorySubscription, partitions: readonly number[]): void {
    for (const partition of partitions) {
      this.#owners[partition] = member;
      const fence = (this.#fences[partition] as number) + 1;
      this.#fences[partition] = fence;
      for (const cursors of [this.topic, this.inbox]) {
        const cursor = cursors[partition];
        if (cursor !== undefined) cursor.fence = fence;
      }
    }
    this.#show(member);
    if (!this.#silent.has(member)) member.spec.onAssigned(partitions);
    this.wake();
  }

  /** Asks the owner to let go and waits, but not for ever; then whoever should have the partitions gets them. */
  async #revoke(owner: MemorySubscription, partitions: readonly number[]): Promise<void> {
    for (const partition of partitions) this.#moving.add(partition);
    this.#show(owner);
    const { timers, settings } = this.store.broker;
    const late = await new Promise<boolean>((resolve) => {
      const deadline = new Alarm(timers, () => resolve(true));
      deadline.by(timers.clock.monotonic() + settings.handover);
      const done = (): void => {
        deadline.cancel();
        resolve(false);
      };
      owner.spec.onRevoked(partitions).then(done, done);
    });
    const freed = partitions.filter((partition) => this.#owners[partition] === owner);
    if (freed.length === 0 || this.#silent.has(owner)) return; // it left meanwhile, or was killed and will
    if (late) owner.spec.onLost(freed);
    const cursors = this.cursors.filter((cursor) => freed.includes(cursor.log.partition));
    owner.releaseHeld(new Set(cursors));
    for (const partition of freed) {
      this.#owners[partition] = null;
      this.#moving.delete(partition);
    }
    this.#balance();
  }
}

/** The offset that a start position means in a log; null where a position does not speak of this partition. */
function offsetOf(log: Log, start: StartPosition): number | null {
  const { first, end } = log.entries;
  if (start === 'latest') return end;
  if (start === 'held' || start === 'earliest') return first;
  if ('time' in start) return log.since(start.time);
  const text = start.position[String(log.partition)];
  if (text === undefined) return null;
  const offset = Number(text);
  if (!/^\d{1,15}$/.test(text)) {
    throw new BrokerError('invalid', `position '${text.slice(0, 40)}' of partition ${log.partition} is not an offset`);
  }
  return Math.min(Math.max(offset, first), end);
}
