import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Client } from './connection.ts';

/** Longest wait. */
const BLOCK = 500;
/** Where streams lie on several nodes nothing can wait for all of them. */
const LOOK_EVERY = 50;

export interface Watched {
  readonly keys: { readonly stream: string };
  /** The last id that is known. */
  readonly seen: string;
}

/**
 * Waits for something new in several streams. It reads for no group, so it takes nothing: what it saw is fetched by a
 * fenced read, and a consumer that is no owner any more harms nobody by waiting.
 */
export class Bell<Source extends Watched> {
  readonly #client: Client;
  /** For the blocking reads alone; null where one read can't name all streams. */
  readonly #reader: Redis | null;
  #id: Promise<number> | null = null;
  #waiting: { readonly sources: readonly Source[]; readonly rings: Promise<readonly Source[]> } | null = null;

  constructor(client: Client, reader: Redis | null) {
    this.#client = client;
    this.#reader = reader;
  }

  /** Those of these where there is something, or none after some time. One wait at a time, which others join. */
  wait(sources: readonly Source[]): Promise<readonly Source[]> {
    const waiting = this.#waiting;
    if (waiting === null) return this.#begin(sources);
    if (sources.some((source) => !waiting.sources.includes(source))) this.stop();
    return waiting.rings;
  }

  /** Ends a wait before its time: its connection is needed. Where that is forbidden, it is needed a little later. */
  stop(): void {
    if (this.#waiting === null || this.#id === null) return;
    void this.#id.then((id) => this.#client.call('CLIENT', ['UNBLOCK', id])).catch(() => undefined);
  }

  #begin(sources: readonly Source[]): Promise<readonly Source[]> {
    const rings = this.#listen(sources).finally(() => (this.#waiting = null));
    this.#waiting = { sources, rings };
    return rings;
  }

  async #listen(sources: readonly Source[]): Promise<readonly Source[]> {
    if (this.#reader === null) return sleep(LOOK_EVERY, sources, { ref: false });
    this.#id ??= this.#reader.client('ID').catch(() => 0); // before it is blocked
    const names = sources.map(({ keys }) => keys.stream);
    const ids = sources.map(({ seen }) => seen);
    const reply = await this.#reader.xreadBuffer('COUNT', 1, 'BLOCK', BLOCK, 'STREAMS', ...names, ...ids);
    return (reply ?? []).map(([name]) => sources[names.indexOf(name.toString())] as Source);
  }
}
