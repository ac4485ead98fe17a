import { memory, MemoryBroker } from '@waybill/memory';
import { expect, test } from 'vitest';
import type { AdapterSubscription } from '../src/adapter.ts';
import { connect, topic } from '../src/index.ts';

const orders = topic<number>('orders');

/** A memory adapter that loses the lease of the first dead letters which are to be settled: they come again at once. */
function losing(broker: MemoryBroker, count: number): ReturnType<typeof memory> {
  const adapter = memory({ broker });
  const subscribe = adapter.subscribe.bind(adapter);
  let left = count;
  return Object.assign(adapter, {
    subscribe: async (...call: Parameters<typeof subscribe>): Promise<AdapterSubscription> => {
      const inner = await subscribe(...call);
      if (call[0].destination.kind !== 'dead-letter') return inner;
      const ack = inner.ack.bind(inner);
      return Object.assign(inner, {
        ack: async (receipts: Parameters<typeof ack>[0]) => {
          if (left-- <= 0) return ack(receipts);
          await inner.nack?.(receipts, { delay: 0, failed: false, attempt: 1 });
          return receipts.map(() => 'lost' as const);
        },
      });
    },
  });
}

test.each(['redrive', 'purge'] as const)('%s counts a letter when it is settled, and leaves none', async (what) => {
  await using bus = await connect({ brokers: { main: losing(new MemoryBroker(), 2) } }, { topics: [orders] });
  let healed = false;
  const again: number[] = [];
  const dead = new Promise<void>((resolve) => {
    let letters = 0;
    bus.on('dead-lettered', () => ++letters === 5 && resolve());
  });
  await bus.subscribe(orders, { group: 'g', retry: { attempts: 1 } }, ({ payload }) => {
    if (!healed) throw new Error('not yet');
    again.push(payload);
  });
  await bus.publishMany(orders, [1, 2, 3, 4, 5]);
  await dead;
  healed = true;
  const letters = bus.dlq(orders, 'g');
  const taken = what === 'redrive' ? (await letters.redrive({ all: true })).redriven : (await letters.purge()).purged;
  expect(taken).toBe(5);
  expect(await letters.list()).toEqual([]);
  if (what === 'redrive') await expect.poll(() => new Set(again).size).toBe(5);
});
