import { consume, gather, never, provisioned, receiptsOf, topic } from '@waybill/conformance/requests';
import type { Delivery } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { keyed, perKey, upTo } from './ordering.ts';
import { adapter, keyPrefix, proxy, raw } from './server.ts';

/** Receives and settles for so long; returns everything. */
async function work(from: Awaited<ReturnType<typeof consume>>, ms: number): Promise<Delivery[]> {
  const got: Delivery[] = [];
  for (const until = Date.now() + ms; Date.now() < until;) {
    const some = await from.receive(20, never);
    const results = await from.ack(receiptsOf(some));
    got.push(...some.filter((_, at) => results[at] === 'ok'));
  }
  return got;
}

export function leasing(): void {
  describe('leases', () => {
    test('a consumer that comes back after a cut takes its own leases at once, and its former self is fenced', async () => {
      const through = await proxy();
      const a = await adapter({ url: through.url });
      const orders = await provisioned(a, topic(4));
      await a.publish(orders, keyed(16, 10, 4), never);
      const first = await consume(a, orders);
      const got = await gather(first, 80, { max: 20 });
      through.cut();
      await expect(gather(first, 160)).rejects.toThrow();
      await first.close();
      await a.connect(never);
      const began = Date.now();
      const second = await consume(a, orders);
      const all = await gather(second, 160);
      expect(Date.now() - began).toBeLessThan(3_000);
      for (const numbers of Object.values(perKey(all))) expect(numbers).toEqual(upTo(10));
      expect(all.every(({ fence }) => fence === 2)).toBe(true);
      expect(await first.ack(receiptsOf(got)).catch(() => [])).not.toContain('ok');
      expect(await second.ack(receiptsOf(all))).not.toContain('lost');
      await through.close();
    });

    test('who can not renew in time gives up before the server does, and its messages come again elsewhere', async () => {
      const through = await proxy();
      const a = await adapter({ url: through.url, timeout: '10s' });
      const orders = await provisioned(a, topic(3));
      await a.publish(orders, keyed(9, 10, 3), never);
      const lost: { partition: number; left: number }[] = [];
      const first = await consume(a, orders, {
        lease: 1_000,
        onLost: (partitions) => {
          for (const partition of partitions)
            void raw
              .pttl(`${keyPrefix}{${orders.name}__3__${partition}}:lease:g`)
              .then((left) => lost.push({ partition, left }));
        },
      });
      const got = await gather(first, 30, { max: 10 });
      await first.ack(receiptsOf(got.slice(0, 10)));
      through.dropResponses();
      const began = Date.now();
      const second = await consume(await adapter(), orders, { lease: 1_000, consumer: 'two' });
      const rest = await gather(second, 80, { max: 20 });
      expect(Date.now() - began).toBeLessThan(3_000);
      await expect.poll(() => lost.length).toBe(3);
      expect(lost.every(({ left }) => left > 0)).toBe(true);
      for (const numbers of Object.values(perKey([...got.slice(0, 10), ...rest]))) expect(numbers).toEqual(upTo(10));
      expect(rest.every(({ fence }) => fence === 2)).toBe(true);
      through.heal();
      await through.close();
    });

    test('two consumers of one name are two consumers', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(6));
      const one = await consume(a, orders, { lease: 2_000 });
      await one.receive(1, never);
      const two = await consume(await adapter(), orders, { lease: 2_000 });
      await two.receive(1, never);
      await a.publish(orders, keyed(24, 10, 6), never);
      const [ones, twos] = await Promise.all([work(one, 2_500), work(two, 2_500)]);
      expect(ones.length).toBeGreaterThan(0);
      expect(twos.length).toBeGreaterThan(0);
      expect(ones.length + twos.length).toBe(240);
    });

    test('what its proper owner does not take does not stay without one', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(6));
      await raw.zadd(`${keyPrefix}{${orders.name}__6}:members:g`, Date.now() + 60_000, 'lives-and-does-nothing#1');
      await a.publish(orders, keyed(24, 10, 6), never);
      const one = await consume(a, orders, { lease: 1_000 });
      const got = await work(one, 3_000);
      expect(got).toHaveLength(240);
      expect(new Set(got.map(({ partition }) => partition)).size).toBe(6);
      expect(got.every(({ fence }) => fence === 1)).toBe(true);
    });
  });
}
