import { connect, topic, type Topic } from '@waybill/core';
import { BYTES, Order, ORDER } from './payloads.ts';

export interface Load {
  readonly messages: number;
  /** 0: unordered. */
  readonly keys: number;
  readonly payload: 'bytes' | 'json';
  readonly batch?: number;
  readonly subscriptions?: number;
}

/** Publishers at once, and most messages published and not handled: an unbounded backlog measures the collector. */
const PUBLISHERS = 512;
const BACKLOG = 4_096;

/** Publish → handler → ack on the memory broker; µs of wall time per message. */
export async function endToEnd({ messages, keys, payload, batch, subscriptions = 1 }: Load): Promise<number> {
  await using bus = await connect({ brokers: { main: 'memory:' } });
  const key = keys === 0 ? {} : { key: () => 'given with each publish' };
  const target: Topic<unknown> =
    payload === 'bytes'
      ? topic('bench', { codec: 'bytes', ...key })
      : (topic('bench', { schema: Order, ...key }) as Topic<unknown>);
  let handled = 0;
  let done!: () => void;
  const all = new Promise<void>((resolve) => (done = resolve));
  const expected = messages * subscriptions;
  const count = (more: number): void => {
    if ((handled += more) >= expected) done();
  };
  for (let group = 1; group <= subscriptions; group++) {
    const options = { group: `g${group}`, prefetch: 1_024 };
    if (batch === undefined)
      await bus.subscribe(target, { ...options, concurrency: 32 }, async () => {
        count(1);
      });
    else
      await bus.subscribe(target, { ...options, batch: { size: batch } }, async (several) => {
        count(several.length);
      });
  }
  const names = Array.from({ length: Math.max(1, keys) }, (_, index) => ({ key: `order-${index}` }));
  const body = payload === 'bytes' ? BYTES : ORDER;
  const begin = performance.now();
  let next = 0;
  const publisher = async (): Promise<void> => {
    while (next < messages) {
      const index = next++;
      while (index - handled / subscriptions > BACKLOG) await new Promise((resolve) => setImmediate(resolve));
      await bus.publish(target, body, keys === 0 ? undefined : names[index % keys]);
    }
  };
  await Promise.all(Array.from({ length: PUBLISHERS }, publisher));
  await all;
  return ((performance.now() - begin) * 1_000) / messages;
}
