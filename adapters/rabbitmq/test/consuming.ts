import {
  consume,
  gather,
  idsOf,
  inboxOf,
  message,
  messages,
  never,
  provisioned,
  topic,
} from '@waybill/conformance/requests';
import type { Delivery, Destination, OutgoingMessage } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { createAdapter } from '../src/index.ts';
import { adapter, broker, raw, url } from './server.ts';

/** As an operator would. The server lists connections a moment late. */
async function closeConnectionsOf(client: string): Promise<void> {
  const own = async (): Promise<string[]> => {
    const all = (await broker?.api('GET', '/api/connections')) as { name: string; user_provided_name?: string }[];
    return all.filter((one) => one.user_provided_name?.includes(client) === true).map(({ name }) => name);
  };
  await expect.poll(async () => (await own()).length, { timeout: 15_000 }).toBe(2);
  for (const name of await own()) await broker?.api('DELETE', `/api/connections/${encodeURIComponent(name)}`);
}

export function consuming(): void {
  describe('consuming', () => {
    test('a late receipt settles nothing on another channel', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(3), never);
      const first = await consume(a, orders);
      const old = await gather(first, 3);
      await first.close();
      const second = await consume(a, orders);
      const fresh = await gather(second, 3);
      expect(await first.ack(old.map(({ receipt }) => receipt))).toEqual(['lost', 'lost', 'lost']);
      expect(await second.ack(old.map(({ receipt }) => receipt))).toEqual(['lost', 'lost', 'lost']);
      await second.close();
      const third = await consume(a, orders);
      expect(idsOf(await gather(third, 3))).toEqual(idsOf(fresh));
    });

    test('a second settle is lost, and the channel lives', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      await a.publish(orders, messages(2), never);
      const [one, two] = (await gather(s, 2)).map(({ receipt }) => receipt);
      expect(await s.ack([two])).toEqual(['ok']);
      expect(await s.ack([two, one])).toEqual(['lost', 'ok']);
      await s.nack?.([one, two], { delay: 0, failed: false, attempt: 0 });
      await a.publish(orders, messages(1), never);
      expect(await gather(s, 1)).toHaveLength(1);
    });

    test('many settlements just before the end are all kept', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders, { prefetch: 200 });
      await a.publish(orders, messages(200), never);
      const receipts = (await gather(s, 200)).map(({ receipt }) => receipt);
      // Every second one, so that each needs a frame of its own.
      for (const [index, receipt] of receipts.entries()) if (index % 2 === 1) await s.ack([receipt]);
      await s.close();
      const rest = await consume(a, orders, { prefetch: 200 });
      expect(await gather(rest, 100)).toHaveLength(100);
      expect(await rest.receive(1, never)).toEqual([]);
    });

    test('what is given back reaches another consumer, and not this one again at once', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const [s, other] = [await consume(a, orders), await consume(await adapter(), orders)];
      await a.publish(orders, messages(10), never);
      const deliveries = await gather(s, 10);
      await s.nack?.(deliveries.map(({ receipt }) => receipt).toReversed(), { delay: 0, failed: false, attempt: 0 });
      expect(s.reserved).toBe(0);
      const again = await gather(other, 10);
      expect(idsOf(again).toSorted()).toEqual(idsOf(deliveries).toSorted());
    });

    /** Consumers that take all and end with it, each in a process of its own as far as the server knows. */
    async function livesOf(orders: Destination, count: number, lives: number): Promise<void> {
      for (let life = 1; life <= lives; life++) {
        const a = await adapter();
        await gather(await consume(a, orders), count);
        await a.close();
      }
    }

    test('a message that came three times comes alone', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await a.publish(orders, messages(3), never);
      await livesOf(orders, 3, 2);
      const s = await consume(a, orders);
      const [killer] = await s.receive(10, never);
      expect([killer?.deliveryCount, s.reserved]).toEqual([3, 0]);
      await s.ack([killer?.receipt]);
      expect(await gather(s, 2)).toHaveLength(2);
    });

    test('a partition with such a message is read alone, while the others go on', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(2));
      const keyed = (partition: number, count: number): OutgoingMessage[] =>
        Array.from({ length: count }, () => message({ key: `k${partition}`, partition }));
      const old = keyed(0, 3);
      await a.publish(orders, old, never);
      await livesOf(orders, 3, 2);
      const fresh = [...keyed(0, 3), ...keyed(1, 5)];
      await a.publish(orders, fresh, never);
      const s = await consume(a, orders);
      const seen: Delivery[] = [];
      const held: Delivery[] = [];
      while (seen.length < 11) {
        const deliveries = await s.receive(100, never);
        seen.push(...deliveries);
        held.push(...deliveries);
        const suspects = held.filter(({ deliveryCount }) => (deliveryCount ?? 0) >= 3);
        expect(suspects.length).toBeLessThanOrEqual(1);
        // The other partition's are held meanwhile, and hold up nothing.
        const done = held.filter(({ partition }) => partition === 0);
        await s.ack(done.map(({ receipt }) => receipt));
        held.splice(0, held.length, ...held.filter(({ partition }) => partition === 1));
      }
      const ofPartition = (partition: number): string[] => idsOf(seen.filter((one) => one.partition === partition));
      expect(ofPartition(0)).toEqual(idsOf([...old, ...fresh.slice(0, 3)]));
      expect(ofPartition(1)).toEqual(idsOf(fresh.slice(3)));
    });

    test('what a process has outlived makes no message suspicious', async () => {
      const a = await adapter();
      for (const partitions of [null, 2]) {
        const orders = await provisioned(a, topic(partitions));
        await a.publish(orders, [message({ key: 'k', partition: partitions && 0 })], never);
        for (let loss = 1; loss <= 4; loss++) {
          const s = await consume(a, orders);
          expect((await gather(s, 1)).map(({ deliveryCount }) => deliveryCount)).toEqual([1]);
          await s.close();
        }
        const [other] = await gather(await consume(await adapter(), orders), 1);
        expect(other?.deliveryCount).toBe(5);
      }
    });

    test('a queue that is deleted ends the subscription as not-found', async () => {
      const a = await adapter();
      for (const partitions of [null, 2]) {
        const orders = await provisioned(a, topic(partitions));
        const lost: number[] = [];
        const s = await consume(a, orders, { onLost: (gone) => lost.push(...gone) });
        await s.receive(1, never);
        const receiving = gather(s, 1).catch((error: unknown) => error);
        await (await raw()).deleteQueue(partitions === null ? `${orders.name}__g` : `${orders.name}__g__2__1`);
        expect(a.classify(await receiving)).toBe('not-found');
        expect(lost).toEqual(partitions === null ? [0] : [0, 1]);
        await expect(consume(a, orders)).rejects.toSatisfy((error) => a.classify(error) === 'not-found');
      }
    });

    test('a lost connection ends all that is on it, with its handlers\u2019 deliveries lost', async () => {
      const a = createAdapter({ url, options: {}, client: 'victim' });
      await a.connect(never);
      const orders = await provisioned(a);
      const lost: number[] = [];
      const s = await consume(a, orders, { onLost: (gone) => lost.push(...gone) });
      await a.publish(orders, messages(2), never);
      const [one] = await gather(s, 2);
      await closeConnectionsOf('victim');
      await expect(gather(s, 1)).rejects.toSatisfy((error) => a.classify(error) === 'disconnected');
      expect([lost, await s.ack([one?.receipt])]).toEqual([[0], ['lost']]);
      await expect(a.publish(orders, messages(1), never)).rejects.toMatchObject({ code: 'disconnected' });
      await a.connect(never);
      expect(await gather(await consume(a, orders), 2)).toHaveLength(2);
      await a.close();
    });

    test('messages of other programs are taken as they are', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      const channel = await raw();
      channel.publish(orders.name, 'any.key', Buffer.from([0, 255]));
      channel.publish(orders.name, '', Buffer.from('x'), {
        messageId: 'theirs',
        type: 'order.paid',
        appId: 'shop',
        contentType: 'text/plain',
        timestamp: 1_700_000_000,
        headers: { n: 7, yes: true, nothing: null, list: [1, 'a'], table: { deep: 1 }, real: 1.5 },
      });
      const [bare, full] = await gather(s, 2);
      expect([bare?.body, bare?.key, bare?.contentType]).toEqual([Buffer.from([0, 255]), null, null]);
      expect({ ...full, headers: { ...full?.headers } }).toMatchObject({
        id: 'theirs',
        type: 'order.paid',
        source: 'shop',
        contentType: 'text/plain',
        time: 1_700_000_000_000,
        headers: { n: '7', yes: 'true', nothing: 'null', list: '[1,"a"]', table: '{"deep":1}', real: '1.5' },
      });
    });

    test('the partitions of a consumer that ends go to the one that stands by, in order', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(2));
      const [active, standby] = [
        await consume(a, orders, { prefetch: 40 }),
        await consume(await adapter(), orders, { prefetch: 40 }),
      ];
      const sent = Array.from({ length: 30 }, (_, index) => message({ key: `k${index % 2}`, partition: index % 2 }));
      await a.publish(orders, sent, never);
      const held = await gather(active, 10);
      expect(await standby.receive(1, never)).toEqual([]);
      const done = held.filter(({ partition }) => partition === 0).slice(0, 2);
      await active.ack(done.map(({ receipt }) => receipt));
      await active.close();
      const rest = await gather(standby, 28);
      for (const partition of [0, 1]) {
        const wanted = sent.filter((one) => one.partition === partition && !idsOf(done).includes(one.id));
        expect(idsOf(rest.filter((one) => one.partition === partition))).toEqual(idsOf(wanted));
      }
    });

    test('a copy comes from the inbox, to its group only', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      await a.publish(orders, messages(1), never);
      await a.publish(inboxOf(orders), [message(), message({ delay: 250 })], never);
      expect((await gather(s, 3)).map(({ origin }) => origin).toSorted()).toEqual(['inbox', 'inbox', 'topic']);
    });
  });
}
