import { setTimeout as sleep } from 'node:timers/promises';
import { consume, gather, idsOf, never, provisioned, receiptsOf, topic } from '@waybill/conformance/requests';
import type { Delivery } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { keyed, perKey, streamOfPartition as stream, upTo } from './ordering.ts';
import { adapter, raw } from './server.ts';

export function orderedTopics(): void {
  describe('ordered topic', () => {
    test('what somebody read by hand, and what was deleted from outside, stops nobody', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(1));
      const outcomes = await a.publish(orders, keyed(1, 10, 1), never);
      await raw.xreadgroup('GROUP', 'g', 'by-hand', 'COUNT', 4, 'STREAMS', stream(orders, 0), '>');
      await raw.xdel(stream(orders, 0), JSON.stringify(outcomes[1]).match(/\d+-\d+/)?.[0] ?? '');
      const s = await consume(a, orders);
      const got = await gather(s, 9);
      expect(perKey(got)['k0']).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9]);
      await s.ack(receiptsOf(got));
      expect(((await raw.xpending(stream(orders, 0), 'g')) as [number])[0]).toBe(0);
    });

    test('reset moves a stopped group, partition by partition, and refuses a running one', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(3));
      await a.publish(orders, keyed(12, 10, 3), never);
      const s = await consume(a, orders);
      const got = await gather(s, 120);
      await s.ack(receiptsOf(got.slice(0, 100)));
      await expect(a.reset?.(orders, 'g', null, 'earliest')).rejects.toMatchObject({ code: 'invalid' });
      await s.close();
      const [sixth] = got.filter(({ partition }) => partition === 1).slice(5);
      await a.reset?.(orders, 'g', null, 'latest');
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(0);
      await a.reset?.(orders, 'g', null, { position: sixth?.position ?? {} });
      const again = await consume(a, orders);
      const ones = got.filter(({ partition }) => partition === 1);
      expect(idsOf(await gather(again, ones.length - 5))).toEqual(idsOf(ones.slice(5)));
    });

    test('replay reads every partition in order and ends', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(4));
      await a.publish(orders, keyed(10, 20, 4), never);
      const replay = await consume(a, orders, { bounded: true, inbox: null, group: 'again', start: 'earliest' });
      await a.publish(orders, keyed(10, 1, 4, 20), never);
      const got: Delivery[] = [];
      while (replay.ended !== true) got.push(...(await replay.receive(30, never, new Set(got.length > 60 ? [] : [2]))));
      expect(got).toHaveLength(200);
      for (const numbers of Object.values(perKey(got))) expect(numbers).toEqual(upTo(20));
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(210);
    });

    test('settled messages of all partitions are trimmed, what another group needs is not', async () => {
      const a = await adapter({ retention: 0 });
      const orders = await provisioned(a, topic(2), { groups: ['g', 'h'] });
      await a.publish(orders, keyed(8, 20, 2), never);
      const [one, two] = [await consume(a, orders), await consume(a, orders, { group: 'h' })];
      await one.ack(receiptsOf(await gather(one, 160)));
      await sleep(1_500);
      const length = async (): Promise<number> =>
        (await raw.xlen(stream(orders, 0))) + (await raw.xlen(stream(orders, 1)));
      expect(await length()).toBe(160);
      await two.ack(receiptsOf(await gather(two, 160)));
      await expect.poll(length, { timeout: 4_000 }).toBe(0);
    });

    test('a group that is gone ends the subscription as not-found', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(2));
      const s = await consume(a, orders);
      await s.receive(1, never);
      await raw.xgroup('DESTROY', stream(orders, 1), 'g');
      const error: unknown = await gather(s, 1).catch((failure: unknown) => failure);
      expect(a.classify(error)).toBe('not-found');
      await s.close();
    });
  });
}
