import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Connection } from '../src/connection.ts';
import { Fetcher } from '../src/fetcher.ts';
import { Stream } from '../src/stream.ts';

/** One broker, which leads everything; each fetch waits until it is answered with nothing. */
class OneBroker {
  readonly fetches: { readonly topics: readonly string[]; answer(): void }[] = [];

  connection(): Connection {
    const leaders = [{ partition: 0, leader: 7, replicas: 1 }];
    const fetch = ({ topics }: { topics: { topic: string }[] }): Promise<object> =>
      new Promise((resolve) => {
        const answer = (): void => resolve({ responses: [] });
        this.fetches.push({ topics: topics.map(({ topic }) => topic), answer });
      });
    const known = { leaders: () => Promise.resolve(leaders), node: () => Promise.resolve({ fetch }) };
    return known as unknown as Connection;
  }
}

const stream = (topic: string): Stream => new Stream({ topic, partition: 0, origin: 'topic', from: 0n, end: null });

test('a stream that is added while the last one of its broker ends is read, whenever in that turn', async () => {
  for (let later = 0; later < 30; later++) {
    const broker = new OneBroker();
    const fetcher = new Fetcher({
      connection: broker.connection(),
      settings: { maxWait: 100, fetchBytes: 65_536 },
      patience: 1_000,
      outOfRange: () => Promise.resolve(),
      onProgress: () => undefined,
      onFailure: () => undefined,
    });
    const first = stream('orders');
    await fetcher.add([first]);
    await turn();
    fetcher.remove(first);
    broker.fetches[0]?.answer();
    for (let step = 0; step < later; step++) await Promise.resolve();
    await fetcher.add([stream('payments')]);
    await turn();
    expect([later, broker.fetches.at(-1)?.topics]).toEqual([later, ['payments']]);
    fetcher.stop();
  }
});
