import type { Redis } from 'ioredis';
import type { Entry } from './entry.ts';
import type { Ownership } from './leases.ts';
import { OWNER } from './ordered-scripts.ts';

const ATTEMPTS = 3;

/** What a read has found: by stream, in the order asked for; or whose leases are another's; or neither: try again. */
export interface Found {
  readonly lost: readonly Ownership[];
  readonly entries: readonly (readonly Entry[])[] | null;
}

/**
 * Reads several streams at once for a group, and only while every lease is ours: the leases are watched, so that the
 * server itself drops the read when one of them has changed, by another owner or because its time is over. A script
 * could compare them too, but it takes five times as long to hand out entries.
 *
 * A full server takes no transactions. Nobody else may use its connection, except to wait.
 */
export class FencedReader {
  readonly #reader: Redis;
  readonly #group: string;
  /** Their leases are watched, and were ours since then. */
  #armed: readonly Ownership[] = [];

  constructor(reader: Redis, group: string) {
    this.#reader = reader;
    this.#group = group;
  }

  /** @param owned All that may be asked for. They are watched together, since renewals are few. */
  async read(owned: readonly Ownership[], streams: readonly string[], count: number): Promise<Found> {
    const leases = owned.map(({ keys }) => keys.lease);
    const others = (values: readonly unknown[]): Ownership[] => owned.filter((one, at) => values[at] !== one.value);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (owned.length !== this.#armed.length || owned.some((one, at) => one !== this.#armed[at])) {
        const [, , values] = await Promise.all([
          this.#reader.unwatch(),
          this.#reader.watch(...leases),
          this.#reader.mget(...leases),
        ]);
        const lost = others(values);
        if (lost.length > 0) return { lost, entries: null };
      }
      this.#armed = [];
      const from = streams.map(() => '>');
      const [, , read, , values] = await Promise.all([
        this.#reader.call('MULTI'),
        this.#reader.callBuffer('XREADGROUP', [
          'GROUP', this.#group, OWNER, 'COUNT', count, 'STREAMS', ...streams, ...from,
        ]), // prettier-ignore
        this.#reader.callBuffer('EXEC') as Promise<[[Buffer, Entry[]][] | Error | null] | null>,
        // For the next time, so that it need not ask first.
        this.#reader.watch(...leases),
        this.#reader.mget(...leases),
      ]);
      this.#armed = others(values).length === 0 ? owned : [];
      if (read === null) continue; // a lease was renewed meanwhile, or is lost, which shows at once
      const [found] = read;
      if (found instanceof Error) throw found;
      const byName = new Map((found ?? []).map(([name, entries]) => [name.toString(), entries]));
      return { lost: [], entries: streams.map((name) => byName.get(name) ?? []) };
    }
    return { lost: [], entries: null };
  }
}
