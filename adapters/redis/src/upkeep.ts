import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery } from '@waybill/core/adapter';
import type { Client } from './connection.ts';
import { classify } from './errors.ts';
import type { StreamKeys } from './keys.ts';
import { run } from './scripts.ts';
import { MOVE, TRIM } from './topic-scripts.ts';

const MOVE_EVERY = 200;
/** While messages are settled, and when none are: those kept for a time go when it is over. */
const TRIM_EVERY = { busy: 1_000, idle: 60_000 };

/** One stream of a group: the topic's, or the group's inbox. */
export interface Source {
  readonly keys: StreamKeys;
  readonly origin: Delivery['origin'];
  readonly partition: number;
  /** The key of the group's live consumers, where this stream's consumers are listed. */
  readonly members: readonly [string] | readonly [];
  /** Settled entries are deleted, not kept for replay. */
  readonly deletes: boolean;
}

export interface UpkeepOptions {
  readonly client: Client;
  readonly sources: readonly Source[];
  readonly consumer: string;
  /** For a topic that doesn't say. */
  readonly retention: number;
}

/** What some consumer of a group must do from time to time: move what is due, show that it lives, trim. */
export class Upkeep {
  /** Set when something was settled since the last trim. */
  settled = true;
  readonly #options: UpkeepOptions;
  readonly #stopped = new AbortController();
  #trimmedAt = 0;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped.abort();
  }

  /**
   * Until it is stopped, or the connection is gone, or this user may not do it: then what is held back would never come.
   * What else fails here goes well the next time.
   */
  async run(lost: (error: unknown) => void): Promise<void> {
    const { client } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted && client.status === 'ready') {
      let pause = MOVE_EVERY;
      try {
        pause = await this.#turn();
      } catch (error) {
        if (classify(error) === 'denied') return lost(error);
      }
      await sleep(pause + 1, undefined, { signal, ref: false }).catch(() => undefined);
    }
    if (!signal.aborted) lost(new Error('Connection is closed.'));
  }

  async #turn(): Promise<number> {
    const { client, sources, consumer, retention } = this.#options;
    let pause = MOVE_EVERY;
    for (const { keys, members } of sources) {
      const next = await run<number>(client, MOVE, [keys.stream, keys.due, ...members], [consumer]);
      if (next >= 0) pause = Math.min(pause, next);
    }
    const now = performance.now();
    if (now - this.#trimmedAt >= (this.settled ? TRIM_EVERY.busy : TRIM_EVERY.idle)) {
      this.settled = false;
      this.#trimmedAt = now;
      for (const { keys, deletes } of sources)
        await run(client, TRIM, [keys.stream, keys.settings], [deletes ? 0 : retention]);
    }
    return pause;
  }
}

/** Trims the streams of an ordered topic: those that this consumer owns or has owned. It is safe whoever does it. */
export class Trimmer {
  readonly #client: Client;
  readonly #retention: number;
  readonly #denied: (error: unknown) => void;
  readonly #known = new Map<StreamKeys, boolean>();
  readonly #busy = new Set<StreamKeys>();
  #allAt = performance.now();
  #timer: NodeJS.Timeout;
  #stopped = false;

  /** @param denied Told when this user may not trim: then nothing that is settled would ever go. */
  constructor(client: Client, retention: number, denied: (error: unknown) => void) {
    this.#client = client;
    this.#retention = retention;
    this.#denied = denied;
    this.#timer = this.#later();
  }

  /** Something of this stream was settled. */
  settled(keys: StreamKeys, deletes: boolean): void {
    this.#known.set(keys, deletes);
    this.#busy.add(keys);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #later(): NodeJS.Timeout {
    return setTimeout(() => void this.#turn(), TRIM_EVERY.busy).unref();
  }

  async #turn(): Promise<void> {
    const all = performance.now() - this.#allAt >= TRIM_EVERY.idle;
    if (all) this.#allAt = performance.now();
    const due = all ? [...this.#known.keys()] : [...this.#busy];
    this.#busy.clear();
    const trims = due.map((keys) =>
      run(this.#client, TRIM, [keys.stream, keys.settings], [this.#known.get(keys) === true ? 0 : this.#retention]),
    );
    for (const trim of await Promise.allSettled(trims))
      if (trim.status === 'rejected' && classify(trim.reason) === 'denied') this.#denied(trim.reason);
    if (!this.#stopped) this.#timer = this.#later();
  }
}
