import { type Destination, partitionOf, type OutgoingMessage, type SendOutcome } from '@waybill/core/adapter';
import type { MemoryBroker } from './broker.ts';
import { Dedup } from './dedup.ts';
import { BrokerError } from './errors.ts';
import type { Group } from './group.ts';
import { Entry, Log, sizeOf } from './log.ts';
import { Alarm } from './timers.ts';

/** What one publish call does with every message. */
export interface Intake {
  readonly now: number;
  readonly wall: number;
  readonly dedup: boolean;
  readonly delay: boolean;
}

/** A destination as it is stored: its partitions, its groups, and what it keeps. */
export class Store {
  readonly name: string;
  readonly kind: Destination['kind'];
  /** As recorded when it was made; null where nobody counts. */
  readonly partitions: number | null;
  readonly logs: readonly Log[];
  readonly groups: Map<string, Group> = new Map();
  readonly broker: MemoryBroker;
  /** Milliseconds from settlement that messages stay; null where the broker's limits say so. */
  retention: number | null;
  readonly #dedup: Dedup;
  readonly #alarm: Alarm;
  #settledBytes = 0;
  #lastStored = 0;
  #turn = 0;
  /** When the youngest of what was removed had been stored. */
  #removedTo = -1;
  /** Groups whose inbox this is. */
  readonly #readers = new Set<Group>();

  constructor(broker: MemoryBroker, name: string, destination: Destination, logs: number, retention: number | null) {
    this.broker = broker;
    this.name = name;
    this.kind = destination.kind;
    this.partitions = destination.partitions;
    this.retention = retention;
    this.logs = Array.from({ length: logs }, (_, partition) => new Log(this, partition));
    this.#dedup = new Dedup(broker.settings.dedup.window, broker.settings.dedup.messages);
    this.#alarm = new Alarm(broker.timers, (now) => this.trim(now));
  }

  /** @throws BrokerError `invalid` when the partition count is not the recorded one (O7). */
  guard(partitions: number | null): void {
    if (partitions === this.partitions) return;
    throw new BrokerError('invalid', `${this.name} has ${counted(this.partitions)}, not ${counted(partitions)}`);
  }

  append(message: OutgoingMessage, intake: Intake): SendOutcome {
    const { now } = intake;
    if (intake.dedup) {
      const place = this.#dedup.find(message.sendId, now);
      if (place !== null) return { status: 'confirmed', position: { [place.partition]: String(place.offset) } };
    }
    const { settings } = this.broker;
    const refused = this.refusal(message, intake);
    if (refused !== null) return { status: 'rejected', error: refused };
    const log = this.logs[this.#partitionOf(message)] as Log;
    const size = sizeOf(message);
    if (!this.broker.makeRoom(size)) {
      return { status: 'rejected', error: this.broker.full() };
    }
    const offset = log.entries.end;
    const position = { [log.partition]: String(offset) };
    if (intake.wall > this.#lastStored) this.#lastStored = intake.wall;
    const body = settings.copy ? log.slab.copy(message.body) : message.body;
    const due = message.delay > 0 ? now + message.delay : 0;
    log.entries.push(new Entry(message, body, position, size, this.#lastStored, due));
    this.broker.bytes += size;
    if (intake.dedup) this.#dedup.remember(log.partition, offset, now);
    return { status: 'confirmed', position };
  }

  /** Why a message can never be stored here; null when it can. */
  refusal(message: OutgoingMessage, intake: Pick<Intake, 'delay'>): BrokerError | null {
    const { maxBodyBytes } = this.broker.settings;
    if (message.body.byteLength > maxBodyBytes)
      return new BrokerError('too-large', `a body of ${message.body.byteLength} bytes; allowed: up to ${maxBodyBytes}`);
    if (message.delay > 0 && !intake.delay) return new BrokerError('unsupported', 'delayed messages are refused');
    if (this.partitions !== null && (message.partition ?? 0) >= this.logs.length)
      return new BrokerError('invalid', `partition ${message.partition}; ${this.name} has ${this.logs.length}`);
    return null;
  }

  /** After a batch was appended. */
  appended(now: number): void {
    for (const group of this.groups.values()) group.wake();
    for (const log of this.logs) if (log.cursors.length === 0) this.advance(log, now);
    if (this.broker.settings.maxAge !== null) this.trim(now);
    for (const reader of this.#readers) reader.wake();
  }

  /** An inbox wakes the group that reads it. */
  readBy(group: Group): void {
    this.#readers.add(group);
  }

  /** A cursor of this log has moved. */
  advance(log: Log, now: number): void {
    const before = log.settled;
    this.#settledBytes += log.advance(now, this.#granularity);
    if (log.settled !== before) this.trim(now);
  }

  removeGroup(group: Group): void {
    this.groups.delete(group.name);
    for (const cursor of group.cursors) {
      const { cursors, store } = cursor.log;
      cursors.splice(cursors.indexOf(cursor), 1);
      store.advance(cursor.log, this.broker.clock.monotonic());
    }
  }

  /** Removes what nobody needs any more and what is kept no longer. */
  trim(now: number): void {
    const { maxAge, retain } = this.broker.settings;
    if (maxAge !== null) this.#giveUp(this.broker.clock.now() - maxAge, now);
    if (this.retention !== null) return this.#trimByTime(this.retention, now);
    // Only a topic is replayed; in an inbox or a dead-letter topic a settled message would look like one still there.
    const messages = this.kind === 'topic' ? retain.messages : 0;
    const bytes = this.kind === 'topic' ? retain.bytes : 0;
    for (let count = this.#settledCount(); count > messages || this.#settledBytes > bytes; count--) this.trimOne();
  }

  /** Removes the oldest settled message. Returns false when there is none. */
  trimOne(): boolean {
    let oldest: Log | null = null;
    for (const log of this.logs) {
      if (log.settled === log.entries.first) continue;
      if (oldest === null || log.firstStored < oldest.firstStored) oldest = log;
    }
    if (oldest !== null) this.#shift(oldest);
    return oldest !== null;
  }

  /** From when on everything is still held: 0 for ever, null when nothing is. */
  oldest(): number | null {
    return this.logs.some((log) => log.entries.size > 0) ? this.#removedTo + 1 : null;
  }

  get #granularity(): number {
    return this.retention === null ? Number.POSITIVE_INFINITY : Math.max(1, this.retention / 50);
  }

  #settledCount(): number {
    let count = 0;
    for (const log of this.logs) count += log.settled - log.entries.first;
    return count;
  }

  #trimByTime(retention: number, now: number): void {
    let left = false;
    for (const log of this.logs) {
      const until = log.settledBefore(now - retention);
      while (log.entries.first < until) this.#shift(log);
      left ||= log.settled > log.entries.first;
    }
    if (left) this.#alarm.by(now + this.#granularity);
  }

  /** What is older than the broker keeps even unsettled messages. */
  #giveUp(before: number, now: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const log of this.logs) {
      while (log.entries.size > 0 && log.firstStored < before) this.#shift(log);
      if (log.entries.size > 0) next = Math.min(next, log.firstStored);
    }
    if (next < Number.POSITIVE_INFINITY) this.#alarm.by(now + Math.max(1, next - before));
  }

  #shift(log: Log): void {
    const wasSettled = log.settled > log.entries.first;
    const { size, storedAt } = log.shift();
    if (wasSettled) this.#settledBytes -= size;
    this.broker.bytes -= size;
    if (storedAt > this.#removedTo) this.#removedTo = storedAt;
  }

  #partitionOf(message: OutgoingMessage): number {
    if (this.partitions !== null) return message.partition ?? 0;
    if (this.logs.length === 1) return 0;
    return message.key === null ? this.#turn++ % this.logs.length : partitionOf(message.key, this.logs.length);
  }
}

const counted = (count: number | null): string => (count === null ? 'no partition count' : `${count} partitions`);
