import type { Topic } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus, Consumer, Stamped } from '../../case-types.ts';

/** A reader of results: which were stored for each message, by the message's sequence number. */
interface Results {
  readonly consumer: Consumer;
  /** Messages that have a result. */
  readonly count: number;
  /** Reads what was stored until now, then wants exactly so many different results of each message, and no others. */
  exactly(bus: CaseBus, of: (seq: number) => number, last: number): Promise<void>;
}

/** Where messages are read, and their results written; on one bus, with a reader of the results. */
interface Flow {
  readonly orders: Topic<Stamped>;
  readonly results: Topic<Stamped>;
  readonly bus: CaseBus;
  readonly reader: Results;
}

export async function flowOf(t: CaseContext, orders: Topic<Stamped> = t.topic('orders')): Promise<Flow> {
  const results = t.topic('results');
  const bus = await t.connect({ topics: [orders, results] });
  return { orders, results, bus, reader: await readResults(t, bus, results) };
}

/** Results carry the payload that they were made from. One that comes twice is one: it has one place. */
async function readResults(t: CaseContext, bus: CaseBus, topic: Topic<Stamped>): Promise<Results> {
  const found = new Map<number, Set<string>>();
  const consumer = await t.consume(bus, topic, { group: t.group('reader') }, ({ id, payload }, { position }) => {
    const place = position === null ? id : JSON.stringify(position);
    found.set(payload.seq, (found.get(payload.seq) ?? new Set()).add(place));
  });
  return {
    consumer,
    get count(): number {
      return found.size;
    },
    exactly: async (via, of, last): Promise<void> => {
      await t.sentinel(via, topic, [consumer]);
      const seqs = Array.from({ length: last }, (_, index) => index + 1);
      const wrong = seqs.flatMap((seq) => {
        const results = found.get(seq)?.size ?? 0;
        return results === of(seq) ? [] : [`${results} of message ${seq} instead of ${of(seq)}`];
      });
      t.equal(wrong, [], 'results');
      t.equal(
        [...found.keys()].filter((seq) => !seqs.includes(seq)),
        [],
        'results of nothing',
      );
    },
  };
}
