import {
  consume,
  gather,
  idsOf,
  inboxOf,
  message,
  messages,
  never,
  provisioned,
  receiptsOf,
  topic,
  until,
} from '@waybill/conformance/requests';
import { describe, expect, test } from 'vitest';
import { adapter, raw, streamOf } from './server.ts';

/** Reads as a consumer that is never heard of again. */
async function die(stream: string, count: number): Promise<void> {
  await raw.xreadgroup('GROUP', 'g', 'dead', 'COUNT', count, 'STREAMS', stream, '>');
}

export function consuming(): void {
  describe('subscription', () => {
    test('never hands out more than max, of two streams, and both get their turn', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(40), never);
      await a.publish(inboxOf(orders), messages(40), never);
      const s = await consume(a, orders);
      const origins = new Set<string>();
      let count = 0;
      for (const max of [1, 1, 2, 3, 5, 7, 100, 100, 100]) {
        const got = await s.receive(max, never);
        expect(got.length).toBeLessThanOrEqual(max);
        expect(s.reserved).toBe(0);
        count += got.length;
        for (const { origin } of got) origins.add(origin);
        if (count <= 2) expect(got).toHaveLength(1);
      }
      expect(count).toBe(80);
      expect([...origins].toSorted()).toEqual(['inbox', 'topic']);
    });

    test('says what a poll under way may bring, and keeps it when the signal fires', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      const stop = new AbortController();
      const waiting = s.receive(10, stop.signal);
      await until(() => s.reserved === 10);
      stop.abort();
      expect(await waiting).toEqual([]);
      const stream = streamOf(orders); // at once, or the read ends with the first
      await raw
        .multi()
        .xadd(stream, '*', 'body', 'a')
        .xadd(stream, '*', 'body', 'b')
        .xadd(stream, '*', 'body', 'c')
        .exec();
      expect(await gather(s, 2, { max: 2 })).toHaveLength(2);
      expect(s.reserved).toBe(1);
      expect(await s.receive(2, never)).toHaveLength(1);
      expect(s.reserved).toBe(0);
    });

    test('answers within about a second when there is nothing', async () => {
      const a = await adapter();
      const s = await consume(a, await provisioned(a));
      const began = Date.now();
      expect(await s.receive(5, never)).toEqual([]);
      expect(Date.now() - began).toBeLessThan(1_500);
    });

    test('takes over what a dead consumer held, after the lease and not before, and counts it', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(1_500), never);
      const began = Date.now();
      await die(streamOf(orders), 1_500);
      const s = await consume(a, orders, { lease: 1_000 });
      const got = await gather(s, 1_500, { max: 300 });
      expect(Date.now() - began).toBeGreaterThanOrEqual(1_000);
      expect(Date.now() - began).toBeLessThan(6_000);
      expect(new Set(idsOf(got)).size).toBe(1_500);
      expect(got.every(({ deliveryCount }) => deliveryCount === 2)).toBe(true);
      expect(await s.ack(receiptsOf(got))).not.toContain('lost');
    });

    test('a settled delivery is settled once, and one that another has claimed is lost', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(4), never);
      const one = await consume(a, orders, { lease: 1_000 });
      const got = await gather(one, 4);
      expect(got.map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1, 1, 1]);
      expect(await one.ack([got[0]?.receipt])).toEqual(['ok']);
      expect(await one.ack([got[0]?.receipt])).toEqual(['lost']);
      // An id from beyond those that it owns, and one that is claimed, in one call, not in order.
      await raw.xclaim(streamOf(orders), 'g', 'thief', 0, got[2]?.position?.['0'] ?? '');
      expect(await one.extend?.([got[2]?.receipt], 1_000)).toEqual(['lost']);
      expect(await one.ack([got[3]?.receipt, got[2]?.receipt, got[1]?.receipt])).toEqual(['ok', 'lost', 'ok']);
      const pending = (await raw.xpending(streamOf(orders), 'g')) as [number, ...unknown[]];
      expect(pending[0]).toBe(1);
    });

    test('acks and extends far more than fit in one script call', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      for (let round = 0; round < 12; round++) await a.publish(orders, messages(500), never);
      const s = await consume(a, orders, { prefetch: 6_000 });
      const got = await gather(s, 6_000, { max: 2_000 });
      expect(got).toHaveLength(6_000);
      const sparse = got.filter((_, index) => index % 50 === 0); // many of its own lie between them
      expect(await s.ack(receiptsOf(sparse))).toEqual(sparse.map(() => 'ok'));
      const rest = got.filter((_, index) => index % 50 !== 0);
      const ends = await s.extend?.(receiptsOf(rest), 30_000);
      expect(ends?.every((one) => typeof one === 'number')).toBe(true);
      expect(new Set(await s.ack(receiptsOf(rest)))).toEqual(new Set(['ok']));
    });

    test('an extended delivery stays, and is not counted again', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(1), never);
      const one = await consume(a, orders, { lease: 1_000 });
      const two = await consume(a, orders, { lease: 1_000, consumer: 'two' });
      const [held] = await gather(one, 1);
      const deadline = Date.now() + 3_000;
      while (Date.now() < deadline) {
        expect(await one.extend?.([held?.receipt], 1_000)).not.toContain('lost');
        expect(await two.receive(5, never)).toEqual([]);
      }
      const [row] = (await raw.xpending(streamOf(orders), 'g', '-', '+', 1)) as [string, string, number, number][];
      expect(row?.[3]).toBe(1);
      expect(await one.ack([held?.receipt])).toEqual(['ok']);
    });

    test('what is given back goes to another consumer promptly', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(20), never);
      const one = await consume(a, orders);
      const got = await gather(one, 20);
      const two = await consume(a, orders, { consumer: 'two' });
      const coming = gather(two, 20);
      await until(() => two.reserved > 0);
      const began = Date.now();
      await one.nack?.(receiptsOf(got).toReversed(), { delay: 0, failed: false, attempt: 0 });
      const again = await coming;
      expect(Date.now() - began).toBeLessThan(1_000);
      expect(idsOf(again)).toEqual(idsOf(got));
      expect(again.every(({ deliveryCount }) => deliveryCount === 1)).toBe(true);
      expect(await one.ack(receiptsOf(got))).toEqual(got.map(() => 'lost'));
      expect(await two.ack(receiptsOf(again))).toEqual(got.map(() => 'ok'));
    });

    test('close gives everything back and removes the consumer, whose pending list is never deleted', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(700), never);
      await a.publish(inboxOf(orders), messages(5), never);
      const one = await consume(a, orders);
      const got = await gather(one, 300, { max: 300 });
      await one.close();
      await one.close();
      expect(await one.ack(receiptsOf(got))).toEqual(got.map(() => 'lost'));
      const consumers = (await raw.xinfo('CONSUMERS', streamOf(orders), 'g')) as string[][];
      expect(consumers.map((row) => row[1])).not.toContain('one');
      const two = await consume(a, orders, { consumer: 'two' });
      expect(new Set(idsOf(await gather(two, 705, { max: 400 }))).size).toBe(705);
    });

    test('a consumer that comes back under its name gets at once what it never settled', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(250), never);
      await raw.xreadgroup('GROUP', 'g', 'one', 'COUNT', 120, 'STREAMS', streamOf(orders), '>');
      const got = await gather(await consume(a, orders), 250, { max: 50 });
      expect(new Set(idsOf(got)).size).toBe(250);
      expect(got.slice(0, 120).every(({ deliveryCount }) => deliveryCount === 2)).toBe(true);
      expect(got.slice(120).every(({ deliveryCount }) => deliveryCount === 1)).toBe(true);
    });

    test('a pending entry that was deleted from outside disappears', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const outcomes = await a.publish(orders, messages(3), never);
      await die(streamOf(orders), 3);
      await raw.xdel(streamOf(orders), JSON.stringify(outcomes[1]).match(/\d+-\d+/)?.[0] ?? '');
      const s = await consume(a, orders, { lease: 1_000 });
      const got = await gather(s, 2);
      expect(await s.receive(5, never)).toEqual([]);
      await s.ack(receiptsOf(got));
      expect(((await raw.xpending(streamOf(orders), 'g')) as [number])[0]).toBe(0);
    });

    test('groups each get all; inboxes and dead letters are gone when settled', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(), { groups: ['g', 'h'] });
      await a.publish(orders, messages(10), never);
      await a.publish(inboxOf(orders), [message({ id: 'retry' })], never);
      const one = await consume(a, orders);
      const two = await consume(a, orders, { group: 'h' });
      const [first, second] = [await gather(one, 11), await gather(two, 10)];
      expect(idsOf(first)).toContain('retry');
      expect(idsOf(second)).toHaveLength(10);
      await one.ack(receiptsOf(first));
      expect(await raw.xlen(`${streamOf(orders).replace(/:stream$/, '')}:inbox:g`)).toBe(0);
      expect(await raw.xlen(streamOf(orders))).toBe(10);
    });
  });
}
