import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchClient, Source } from './bench-client.ts';
import { ORDER, type Order } from './payloads.ts';

/** Most messages published and not handled end to end: an unbounded backlog would measure the broker's memory. */
const BACKLOG = 4_096;
const GAP = 5; // ms between two publishes at the low rate

const numbered = (version: number): Order => ({ ...ORDER, version });

/** Hands out so many orders; not more than the backlog ahead of what `handled` says. */
function sourceOf(count: number, handled: () => number = () => Number.POSITIVE_INFINITY): Source {
  let next = 0;
  return async (max) => {
    while (next < count && next - handled() >= BACKLOG) await new Promise((resolve) => setImmediate(resolve));
    const orders: Order[] = [];
    while (orders.length < max && next < count) orders.push(numbered(next++));
    return orders;
  };
}

/** Consumes so many; says when the first and the last were handled (ms, monotonic). */
async function consumed(
  client: BenchClient,
  topic: string,
  count: number,
  alongside: (handled: () => number) => Promise<void> = () => Promise.resolve(),
): Promise<{ first: number; last: number }> {
  let handled = 0;
  let first = 0;
  let done!: (at: number) => void;
  const all = new Promise<number>((resolve) => (done = resolve));
  const stop = await client.consume(topic, () => {
    if (++handled === 1) first = performance.now();
    if (handled === count) done(performance.now());
  });
  const [last] = await Promise.all([all, alongside(() => handled)]);
  await stop();
  return { first, last };
}

/** Microseconds per message until all are confirmed. */
export async function publishing(client: BenchClient, topic: string, count: number): Promise<number> {
  await client.create(topic);
  const began = performance.now();
  await client.publish(topic, sourceOf(count));
  return ((performance.now() - began) * 1_000) / count;
}

/** Microseconds per message of a backlog, from the first that was handled to the last. */
export async function consuming(client: BenchClient, topic: string, count: number): Promise<number> {
  await client.create(topic);
  await client.publish(topic, sourceOf(count));
  const { first, last } = await consumed(client, topic, count);
  return ((last - first) * 1_000) / count;
}

/** Microseconds per message, published and handled at the same time in this process. */
export async function endToEnd(client: BenchClient, topic: string, count: number): Promise<number> {
  await client.create(topic);
  const began = performance.now();
  const { last } = await consumed(client, topic, count, (handled) => client.publish(topic, sourceOf(count, handled)));
  return ((last - began) * 1_000) / count;
}

/** Milliseconds from the publish to the handler, at a low rate: one sample per message. */
export async function latency(client: BenchClient, topic: string, count: number): Promise<readonly number[]> {
  await client.create(topic);
  const begun = new Map<number, number>();
  const times: number[] = [];
  const stop = await client.consume(topic, ({ version }) => times.push(performance.now() - (begun.get(version) ?? 0)));
  for (let version = 0; version < count; version++) {
    let order: Order | null = numbered(version);
    begun.set(version, performance.now());
    await client.publish(topic, async () => {
      const one = order === null ? [] : [order];
      order = null;
      return one;
    });
    await sleep(GAP);
  }
  while (times.length < count) await sleep(GAP);
  await stop();
  return times;
}
