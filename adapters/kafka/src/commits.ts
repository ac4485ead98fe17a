import type { Membership, OffsetCommit } from './membership.ts';
import type { Stream } from './stream.ts';

/**
 * Commits what streams have settled: one request at a time, for all partitions that moved, never lower than before and
 * never for a partition that was let go.
 */
export class Commits {
  readonly #membership: Pick<Membership, 'commit'>;
  readonly #streams: () => readonly Stream[];
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;

  constructor(membership: Pick<Membership, 'commit'>, streams: () => readonly Stream[]) {
    this.#membership = membership;
    this.#streams = streams;
  }

  /** Resolves when everything settled until now is committed, or can't be any more since it was lost. */
  flush(): Promise<void> {
    this.#next ??= this.#current
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        this.#current = this.#commit(() =>
          this.#streams().filter(({ owned, settled, committed }) => owned && settled > committed),
        );
        return this.#current;
      });
    return this.#next;
  }

  /** Commits where these streams begin, wherever the group was before. */
  place(streams: readonly Stream[]): Promise<void> {
    return this.#commit(() => streams.filter(({ owned }) => owned));
  }

  async #commit(due: () => readonly Stream[]): Promise<void> {
    let sent = new Map<Stream, bigint>();
    const done = await this.#membership.commit(() => {
      sent = new Map(due().map((stream) => [stream, stream.settled]));
      return byTopic(sent);
    });
    if (!done) return;
    for (const [stream, offset] of sent) if (offset > stream.committed) stream.committed = offset;
  }
}

export function byTopic(offsets: Iterable<readonly [Stream, bigint]>): OffsetCommit[] {
  const topics = new Map<string, { partition: number; offset: string }[]>();
  for (const [{ topic, partition }, offset] of offsets) {
    const list = topics.get(topic) ?? [];
    topics.set(topic, list);
    list.push({ partition, offset: String(offset) });
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}
