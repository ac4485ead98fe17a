import { setTimeout as sleep } from 'node:timers/promises';
import {
  consume,
  gather,
  idsOf,
  inboxOf,
  message,
  never,
  provisioned,
  receiptsOf,
  topic,
} from '@waybill/conformance/requests';
import { partitionOf, type Delivery, type Destination, type OutgoingMessage } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { adapter, keyPrefix, raw } from './server.ts';

/** So many messages of each key, in turns; ids are `<key>/<number>`. */
export function keyed(keys: number, each: number, partitions: number, from = 0): OutgoingMessage[] {
  return Array.from({ length: keys * each }, (_, at) => {
    const key = `k${at % keys}`;
    const id = `${key}/${from + Math.floor(at / keys)}`;
    return message({ id, sendId: id, key, partition: partitionOf(key, partitions) });
  });
}

/** Each key's numbers, in the order in which they came. */
export function perKey(deliveries: readonly { id: string }[]): Record<string, number[]> {
  const found: Record<string, number[]> = {};
  for (const { id } of deliveries) (found[id.split('/')[0] ?? ''] ??= []).push(Number(id.split('/')[1]));
  return found;
}

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const lease = ({ name, partitions }: Destination, partition: number, group = 'g'): string =>
  `${keyPrefix}{${name}__${partitions}__${partition}}:lease:${group}`;
export const streamOfPartition = ({ name, partitions }: Destination, partition: number): string =>
  `${keyPrefix}{${name}__${partitions}__${partition}}:stream`;

export function ordering(): void {
  describe('order', () => {
    test('messages lie in the stream of their partition, in the order of the calls', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(5));
      const sent = keyed(20, 30, 5);
      const some = await a.publish(orders, sent.slice(0, 350), never);
      const more = await a.publish(orders, sent.slice(350), never);
      const outcomes = [...some, ...more];
      expect(outcomes.every(({ status }) => status === 'confirmed')).toBe(true);
      for (let partition = 0; partition < 5; partition++) {
        const stored = (await a.browse?.(orders, { [partition]: '0-0' }, 1_000)) ?? [];
        const own = stored.filter((one) => one.partition === partition);
        expect(idsOf(own)).toEqual(idsOf(sent.filter((one) => one.partition === partition)));
        expect(outcomes[sent.findIndex(({ id }) => id === own[0]?.id)]).toMatchObject({ position: own[0]?.position });
      }
    });

    test('another partition count is refused, both named; none is made by looking', async () => {
      const a = await adapter();
      const destination = topic(4);
      const spec = (partitions: number, topology: 'create' | 'verify' | 'none') =>
        ({ topology, destination: { ...destination, partitions }, retention: null, groups: [] }) as const;
      await a.provision(spec(4, 'none'), never);
      await expect(a.provision(spec(4, 'verify'), never)).rejects.toMatchObject({ code: 'not-found' });
      await a.provision(spec(4, 'create'), never);
      for (const topology of ['create', 'verify', 'none'] as const)
        await expect(a.provision(spec(6, topology), never)).rejects.toThrow(/has 4 partitions, and 6/);
      const other = { ...destination, partitions: 6 };
      await expect(consume(a, other)).rejects.toMatchObject({ code: 'invalid' });
      const [outcome] = await a.publish(other, keyed(1, 1, 6), never);
      expect(outcome).toMatchObject({ status: 'rejected', error: { code: 'not-found' } });
    });

    test('one consumer owns all, reads each key in order, and settles', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(6));
      await a.publish(orders, keyed(40, 20, 6).slice(0, 500), never);
      await a.publish(orders, keyed(40, 20, 6).slice(500), never);
      await a.publish(inboxOf(orders), keyed(7, 2, 6, 100), never);
      const assigned: number[] = [];
      const s = await consume(a, orders, { onAssigned: (more) => assigned.push(...more) });
      const got: Delivery[] = [];
      for (const max of [1, 2, 5, 13]) {
        const some = await s.receive(max, never);
        expect(some.length).toBeLessThanOrEqual(max);
        got.push(...some);
      }
      got.push(...(await gather(s, 814 - got.length, { max: 100 })));
      expect(assigned.toSorted((x, y) => x - y)).toEqual(upTo(6));
      expect(got).toHaveLength(814);
      const fresh = perKey(got.filter(({ origin }) => origin === 'topic'));
      for (const numbers of Object.values(fresh)) expect(numbers).toEqual(upTo(20));
      expect(got.every(({ fence, partition, key }) => fence === 1 && partition === partitionOf(key ?? '', 6))).toBe(
        true,
      );
      expect(got.every(({ deliveryCount, leaseUntil }) => deliveryCount === 1 && leaseUntil === null)).toBe(true);
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(814);
      expect(new Set(await s.ack(receiptsOf(got)))).toEqual(new Set(['ok']));
      expect(await s.ack(receiptsOf(got.slice(0, 3)))).toEqual(['ok', 'ok', 'ok']);
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(0);
      expect(s.reserved).toBe(0);
    });

    test('something new is there at once, and an idle receive answers within a second', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(12));
      const s = await consume(a, orders);
      const began = Date.now();
      expect(await s.receive(10, never)).toEqual([]);
      expect(Date.now() - began).toBeLessThan(1_500);
      const waits: number[] = [];
      for (let round = 0; round < 30; round++) {
        const waiting = s.receive(10, never);
        await sleep(10);
        const sent = performance.now();
        await a.publish(orders, keyed(1, 1, 12, round), never);
        const got = await waiting;
        waits.push(performance.now() - sent);
        expect(got).toHaveLength(1);
        await s.ack(receiptsOf(got));
      }
      expect(waits.toSorted((x, y) => x - y)[15]).toBeLessThan(500); // not when the idle receive would have ended
    });

    test('partitions in skip are left out, and do not keep the others waiting', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(4));
      const sent = keyed(40, 5, 4);
      await a.publish(orders, sent, never);
      const s = await consume(a, orders);
      const skip = new Set([1, 2]);
      const got: Delivery[] = [];
      for (let round = 0; round < 4; round++) got.push(...(await s.receive(100, never, skip)));
      expect(idsOf(got).toSorted()).toEqual(
        idsOf(sent.filter(({ partition }) => !skip.has(partition ?? 0))).toSorted(),
      );
      got.push(...(await gather(s, 200 - got.length)));
      expect(got).toHaveLength(200);
      for (const numbers of Object.values(perKey(got))) expect(numbers).toEqual(upTo(5));
    });

    test('what is given back comes again before what lies behind it', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(2));
      await a.publish(orders, keyed(4, 25, 2), never);
      const s = await consume(a, orders);
      const first = await gather(s, 30, { max: 10 });
      const kept = first.slice(0, 5);
      await s.nack?.(receiptsOf(first.slice(5)).toReversed(), { delay: 0, failed: false, attempt: 0 });
      expect(await s.ack(receiptsOf(first.slice(5)))).toEqual(first.slice(5).map(() => 'lost'));
      const rest = await gather(s, 100 - kept.length);
      expect(rest).toHaveLength(95);
      expect(rest.every(({ deliveryCount }) => deliveryCount === 1)).toBe(true);
      for (const numbers of Object.values(perKey([...kept, ...rest]))) expect(numbers).toEqual(upTo(25));
      expect(await s.ack(receiptsOf([...kept, ...rest]))).not.toContain('lost');
    });

    test('a new member gets its share after the old one has let go', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(8));
      const one = new Set<number>();
      const two = new Set<number>();
      let revoked = false;
      const first = await consume(a, orders, {
        onAssigned: (more) => more.forEach((partition) => one.add(partition)),
        onRevoked: async (gone) => {
          await sleep(700);
          gone.forEach((partition) => one.delete(partition));
          revoked = true;
        },
      });
      await expect.poll(() => one.size).toBe(8);
      const second = await consume(a, orders, {
        consumer: 'two',
        onAssigned: (more) => {
          expect(revoked).toBe(true);
          more.forEach((partition) => two.add(partition));
        },
      });
      await expect.poll(() => two.size, { timeout: 5_000 }).toBe(4);
      expect(one.size).toBe(4);
      expect(new Set([...one, ...two]).size).toBe(8);
      // And back, at once, when it leaves.
      const began = Date.now();
      await second.close();
      await expect.poll(() => one.size, { timeout: 3_000 }).toBe(8);
      expect(Date.now() - began).toBeLessThan(1_500);
      await first.close();
      expect(await raw.exists(...upTo(8).map((partition) => lease(orders, partition)))).toBe(0);
    });

    test('close lets another go on at once, from the first unsettled, in order', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(3));
      await a.publish(orders, keyed(9, 20, 3), never);
      const first = await consume(a, orders);
      const got = await gather(first, 100, { max: 25 });
      const done = got.slice(0, 40);
      await first.ack(receiptsOf(done));
      await first.close();
      const began = Date.now();
      const second = await consume(await adapter(), orders, { consumer: 'two' });
      const rest = await gather(second, 140, { max: 30 });
      expect(Date.now() - began).toBeLessThan(3_000);
      for (const numbers of Object.values(perKey([...done, ...rest]))) expect(numbers).toEqual(upTo(20));
      expect(rest.every(({ fence }) => fence === 2)).toBe(true);
      expect(rest.filter(({ deliveryCount }) => deliveryCount === 2)).toHaveLength(got.length - 40);
      expect(await first.ack(receiptsOf(got))).toEqual([...done.map(() => 'ok'), ...got.slice(40).map(() => 'lost')]);
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(140);
    });
  });
}
