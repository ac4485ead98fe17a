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
import type { SendOutcome } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import { adapter, broker, raw } from './server.ts';

const said = (outcomes: readonly SendOutcome[]): string[] => outcomes.map(({ status }) => status);
const codes = (by: { classify(error: unknown): string }, outcomes: readonly SendOutcome[]): string[] =>
  outcomes.map((one) => ('error' in one ? by.classify(one.error) : one.status));

export function publishing(): void {
  describe('publishing', () => {
    test('what no queue takes is rejected, though RabbitMQ confirms it', async () => {
      const a = await adapter();
      const orders = topic();
      await a.provision({ topology: 'create', destination: orders, retention: null, groups: [] }, never);
      const outcomes = await a.publish(orders, messages(3), never);
      expect([said(outcomes), codes(a, outcomes)]).toEqual([Array(3).fill('rejected'), Array(3).fill('not-found')]);
    });

    test('each message has its own outcome, also where two have one id', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(4));
      const [id, other] = ['twin', 'single'];
      const channel = await raw();
      await channel.deleteQueue(`${orders.name}__g__4__1`);
      const outcomes = await a.publish(
        orders,
        [
          message({ id, key: 'a', partition: 0 }),
          message({ id, key: 'b', partition: 1 }),
          message({ id: other, key: 'c', partition: 2 }),
          message({ id, key: 'd', partition: 3 }),
          message({ key: 'b', partition: 1 }),
        ],
        never,
      );
      expect(said(outcomes)).toEqual(['confirmed', 'rejected', 'confirmed', 'confirmed', 'skipped']);
    });

    test('a full queue: unknown on a topic, which other groups may have, rejected in an inbox', async () => {
      const a = await adapter({ maxLength: 1 });
      const orders = await provisioned(a);
      const outcomes: SendOutcome[] = [];
      // Quorum queues take some more than their limit.
      await expect
        .poll(
          async () => {
            outcomes.splice(0, Infinity, ...(await a.publish(orders, messages(1), never)));
            return codes(a, outcomes);
          },
          { timeout: 20_000 },
        )
        .toEqual(['throttled']);
      expect(said(outcomes)).toEqual(['unknown']);
      const copies = await a.publish(inboxOf(orders), messages(1), never);
      expect([said(copies), codes(a, copies)]).toEqual([['rejected'], ['throttled']]);
    });

    test('an exchange that is gone is of no harm to other destinations', async () => {
      const a = await adapter();
      const [orders, other] = [await provisioned(a), await provisioned(a)];
      await a.publish(orders, messages(1), never);
      await (await raw()).deleteExchange(orders.name);
      const [gone, fine] = await Promise.all([
        a.publish(orders, messages(2), never),
        a.publish(other, messages(2), never),
      ]);
      expect(codes(a, gone)).toEqual(['not-found', 'not-found']);
      expect(said(fine)).toEqual(['confirmed', 'confirmed']);
      const again = await a.publish(orders, messages(1), never);
      expect([said(again), codes(a, again)]).toEqual([['rejected'], ['not-found']]);
      await a.provision(
        {
          topology: 'create',
          destination: orders,
          retention: null,
          groups: [{ group: 'g', address: null, start: 'held', inbox: inboxOf(orders) }],
        },
        never,
      );
      expect(said(await a.publish(orders, messages(1), never))).toEqual(['confirmed']);
    });

    test('a message over the server\u2019s limit is too large; those beside it are sent again', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await broker?.evaluate('application set_env [rabbit, max_message_size, 10000]');
      try {
        const batch = [message(), message({ body: Buffer.alloc(20_000) }), message()];
        const outcomes = await a.publish(orders, batch, never);
        expect(codes(a, outcomes)[1]).toBe('too-large');
        for (const one of [codes(a, outcomes)[0], codes(a, outcomes)[2]])
          expect(['confirmed', 'unavailable']).toContain(one);
        expect(said(await a.publish(orders, messages(1), never))).toEqual(['confirmed']);
      } finally {
        await broker?.evaluate('application set_env [rabbit, max_message_size, 134217728]');
      }
    });

    test('headers that do not fit a table are too large, and nothing else suffers', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const batch = [message(), message({ headers: { big: 'x'.repeat(70_000) } }), message()];
      const outcomes = await a.publish(orders, batch, never);
      expect(codes(a, outcomes)).toEqual(['confirmed', 'too-large', 'confirmed']);
    });

    test('without memory it takes nothing more, while consuming and acking go on', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      await a.publish(orders, messages(50), never);
      await broker?.alarm('memory', true);
      const waiting = a.publish(orders, messages(1), never);
      try {
        await expect
          .poll(async () => codes(a, await a.publish(orders, messages(1), AbortSignal.timeout(100))))
          .toEqual(['throttled']);
        const deliveries = await gather(s, 50);
        expect(await s.ack(deliveries.map(({ receipt }) => receipt))).toEqual(Array(50).fill('ok'));
      } finally {
        await broker?.alarm('memory', false);
      }
      expect(said(await waiting)).toEqual(['confirmed']);
      await expect.poll(async () => said(await a.publish(orders, messages(1), never))).toEqual(['confirmed']);
      await s.close();
      expect((await gather(await consume(a, orders), 2)).length).toBe(2);
    });

    test('what is held back comes in its time, the short behind the long one', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      const began = performance.now();
      const [long, short] = [message({ delay: 1_600 }), message({ delay: 300 })];
      expect(said(await a.publish(orders, [long, short], never))).toEqual(['confirmed', 'confirmed']);
      expect(idsOf(await gather(s, 1))).toEqual([short.id]);
      expect(performance.now() - began).toBeGreaterThanOrEqual(300);
      expect(idsOf(await gather(s, 1))).toEqual([long.id]);
      expect(performance.now() - began).toBeGreaterThanOrEqual(1_600);
    });
  });
}
