import { PublishError, type PublishOptions, type Topic } from '@waybill/core';
import type { CaseBus, Consumer, LoadOptions, Outcome, Stamped, StampOptions } from './case-types.ts';
import type { Waiting } from './waiting.ts';

/** Publishes stamped messages and remembers which sequence numbers and keys it has used. */
export class Stamping {
  readonly #run: string;
  readonly #case: string;
  readonly #waiting: Waiting;
  readonly #seqs = new Map<string, number>();
  readonly #keys = new Map<string, Set<string>>();
  #sentinels = 0;

  constructor(run: string, caseId: string, waiting: Waiting) {
    this.#run = run;
    this.#case = caseId;
    this.#waiting = waiting;
  }

  publish(
    bus: CaseBus,
    topic: Topic<Stamped>,
    key: string | null = null,
    options: StampOptions = {},
  ): Promise<Outcome> {
    const { data, seq = this.#next(topic.name, key), ...rest } = options;
    const stamp = { run: this.#run, case: this.#case, key, seq, ...(data === undefined ? {} : { data }) };
    return outcomeOf(bus, topic, stamp, rest);
  }

  async load(bus: CaseBus, topic: Topic<Stamped>, options: LoadOptions): Promise<readonly Outcome[]> {
    const { keys = 0, each, concurrency = 50, data, gap = 0, signal } = options;
    const names = keys === 0 ? [null] : Array.from({ length: keys }, (_, index) => `k${index + 1}`);
    const open = new Set<Promise<unknown>>();
    const all: Promise<Outcome>[] = [];
    // A case that has failed in the middle must not go on publishing beside the others.
    const stopped = (): boolean => signal?.aborted === true || this.#waiting.over;
    for (let round = 0; round < each && !stopped(); round++) {
      for (const key of names) {
        if (stopped()) break;
        const seq = this.#next(topic.name, key);
        const said = data === undefined ? {} : { data: data(key, seq) };
        const publish = this.publish(bus, topic, key, { ...options.options, ...said, seq });
        all.push(publish);
        const settled: Promise<unknown> = publish.then(
          () => open.delete(settled),
          () => open.delete(settled),
        );
        open.add(settled);
        if (open.size >= concurrency) await Promise.race(open);
        if (gap > 0) await this.#waiting.pass(gap);
      }
    }
    return Promise.all(all);
  }

  /** See `CaseContext.sentinel`. Null, or what did not come. */
  async sentinel(
    bus: CaseBus,
    topic: Topic<Stamped>,
    consumers: readonly Consumer[],
    options: { readonly keys?: readonly string[]; readonly publish?: PublishOptions; readonly straggle: number },
  ): Promise<string | null> {
    const used = options.keys ?? [...(this.#keys.get(topic.name) ?? [])];
    const keys: (string | null)[] = used.length === 0 ? [null] : [...used];
    const places = topic.ordered ? keys : Array.from({ length: 20 }, (_, index) => keys[index % keys.length] ?? null);
    const stamps = new Set<number>();
    for (const key of places) {
      const seq = ++this.#sentinels;
      const stamp: Stamped = { run: this.#run, case: this.#case, key, seq, sentinel: true };
      await bus.publish(topic, stamp, options.publish ?? {});
      stamps.add(seq);
    }
    const groups = new Map<string, Consumer[]>();
    for (const consumer of consumers) groups.set(consumer.group, [...(groups.get(consumer.group) ?? []), consumer]);
    for (const [group, members] of groups) {
      const come = (seq: number): boolean => members.some((member) => member.sentinelSeqs.has(seq));
      const ended = members.every((member) => member.closed);
      const late = ended ? 'its consumers are closed' : await this.#waiting.reached(() => [...stamps].every(come));
      if (late === null) continue;
      const missing = [...stamps].filter((seq) => !come(seq)).length;
      return `${missing} of ${stamps.size} sentinels of ${topic.name} did not reach ${group}: ${late}`;
    }
    if (!topic.ordered) await this.#waiting.straggle(options.straggle);
    return null;
  }

  #next(topic: string, key: string | null): number {
    const place = JSON.stringify([topic, key]);
    const seq = (this.#seqs.get(place) ?? 0) + 1;
    this.#seqs.set(place, seq);
    if (key !== null) {
      const keys = this.#keys.get(topic);
      if (keys === undefined) this.#keys.set(topic, new Set([key]));
      else keys.add(key);
    }
    return seq;
  }
}

async function outcomeOf(
  bus: CaseBus,
  topic: Topic<Stamped>,
  stamp: Stamped,
  options: PublishOptions,
): Promise<Outcome> {
  try {
    const { id, position } = await bus.publish(topic, stamp, options);
    return { status: 'confirmed', id, seq: stamp.seq, position: position ?? null };
  } catch (error) {
    if (error instanceof PublishError) return { status: error.outcome, id: error.id, seq: stamp.seq, error };
    throw error;
  }
}
