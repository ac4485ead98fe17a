import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
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
  until,
} from '@waybill/conformance/requests';
import { describe, expect, test } from 'vitest';
import { redis } from '../src/index.ts';
import { adapter, proxy, raw, streamOf, url } from './server.ts';

export function faults(): void {
  describe('faults', () => {
    test('a group or stream that is gone ends the subscription as not-found; made again, nothing is skipped', async () => {
      const a = await adapter();
      for (const gone of ['group', 'stream'] as const) {
        const orders = await provisioned(a);
        const s = await consume(a, orders);
        await s.receive(1, never);
        const receiving = gather(s, 1);
        receiving.catch(() => undefined);
        await until(() => s.reserved > 0);
        if (gone === 'group') await raw.xgroup('DESTROY', streamOf(orders), 'g');
        else await raw.del(streamOf(orders));
        const error: unknown = await receiving.catch((failure: unknown) => failure);
        expect(a.classify(error)).toBe('not-found');
        await s.close();
        await expect(consume(a, orders)).rejects.toMatchObject({ code: 'not-found' });
        if (gone === 'stream') await raw.xadd(streamOf(orders), '*', 'body', 'meanwhile');
        const groups = [{ group: 'g', address: null, start: 'latest' as const, inbox: inboxOf(orders) }];
        await a.provision({ topology: 'create', destination: orders, retention: null, groups }, never);
        if (gone === 'stream') expect(await gather(await consume(a, orders), 1)).toHaveLength(1);
      }
    });

    test('an answer that is lost leaves the publish unknown, and stored once', async () => {
      const through = await proxy();
      const a = await adapter({ url: through.url });
      const orders = await provisioned(a);
      through.dropResponses();
      const publishing = a.publish(orders, messages(3), never);
      await expect.poll(() => raw.xlen(streamOf(orders))).toBe(3);
      through.heal();
      for (const outcome of await publishing) {
        expect(outcome.status).toBe('unknown');
        expect(a.classify((outcome as { error: unknown }).error)).toBe('disconnected');
      }
      await sleep(300);
      expect(await raw.xlen(streamOf(orders))).toBe(3);
      await expect(a.publish(orders, messages(1), never)).rejects.toMatchObject({ code: 'disconnected' });
      await a.connect(never);
      expect((await a.publish(orders, messages(1), never))[0]?.status).toBe('confirmed');
      await through.close();
    });

    test('entries whose read was lost come at once when the consumer is back; old receipts do no harm', async () => {
      const through = await proxy();
      const a = await adapter({ url: through.url });
      const orders = await provisioned(a);
      await a.publish(orders, messages(2), never);
      const s = await consume(a, orders);
      const held = await gather(s, 2);
      through.dropResponses();
      const reading = gather(s, 1);
      reading.catch(() => undefined);
      await raw.xadd(streamOf(orders), '*', 'body', 'x');
      await expect.poll(async () => (await raw.xpending(streamOf(orders), 'g'))[0]).toBe(3);
      through.heal();
      const error: unknown = await reading.catch((failure: unknown) => failure);
      expect(a.classify(error)).toBe('disconnected');
      await s.close();
      await a.connect(never);
      const again = await consume(a, orders);
      const got = await gather(again, 3);
      expect(got).toHaveLength(3);
      await s.ack(receiptsOf(held)).catch(() => undefined);
      expect(await again.ack(receiptsOf(got))).toEqual(['ok', 'ok', 'ok']);
      await through.close();
    });

    test('a half-open connection is noticed in time: reads, publishes, acks and close', async () => {
      const through = await proxy();
      const a = await adapter({ url: through.url, timeout: '800ms' });
      const orders = await provisioned(a);
      await a.publish(orders, messages(1), never);
      const s = await consume(a, orders);
      const [one] = await gather(s, 1);
      through.dropResponses();
      const began = Date.now();
      const settled = await Promise.allSettled([
        gather(s, 1),
        s.ack([one?.receipt]),
        a.publish(orders, messages(1), never),
      ]);
      expect(Date.now() - began).toBeLessThan(4_000);
      expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
      expect(settled[2]).toMatchObject({ value: [{ status: 'unknown' }] });
      await a.close();
      expect(Date.now() - began).toBeLessThan(8_000);
      await through.close();
    });

    test('an aborted publish returns soon, unknown', async () => {
      const through = await proxy();
      const a = await adapter({ url: through.url });
      const orders = await provisioned(a);
      through.dropResponses();
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 100);
      const [outcome] = await a.publish(orders, [message()], stop.signal);
      expect(outcome?.status).toBe('unknown');
      expect(a.classify((outcome as { error: unknown }).error)).toBe('timeout');
      await through.close();
    });

    test('wrong credentials, a refused port and a silent server end in seconds, without a secret', async () => {
      const secret = 'marker-SeCrEt-42';
      const refusing = new URL(url);
      refusing.username = '';
      refusing.password = secret;
      const closed = new URL(refusing);
      closed.port = '1';
      const unknownUser = new URL(refusing);
      unknownUser.username = 'nobody';
      for (const [wrong, code] of [
        [refusing, 'denied'],
        [unknownUser, 'denied'],
        [closed, 'disconnected'],
      ] as const) {
        const a = redis({ url: wrong.href });
        const began = Date.now();
        const error: unknown = await a.connect(never).catch((failure: unknown) => failure);
        expect(Date.now() - began).toBeLessThan(3_000);
        expect(a.classify(error)).toBe(code);
        expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(secret);
        await a.close();
        await expect(a.connect(never)).rejects.toMatchObject({ code: 'closed' });
      }
    });

    test('a server that is less than was declared is refused', async () => {
      const a = redis({ url, durability: 'replicated', replicas: 9 });
      await expect(a.connect(never)).rejects.toMatchObject({ code: 'unsupported' });
      expect(a.supports.publish.durability).toBe('replicated');
      await a.close();
    });

    test('nothing of two consumers is given to both', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const [one, two] = [await consume(a, orders), await consume(a, orders, { consumer: 'two' })];
      const all = Promise.all([
        gather(one, 400, { within: 2_500, max: 20 }),
        gather(two, 400, { within: 2_500, max: 20 }),
      ]);
      for (let round = 0; round < 4; round++) await a.publish(orders, messages(100), never);
      const got = (await all).flat();
      expect(got).toHaveLength(400);
      expect(new Set(idsOf(got)).size).toBe(400);
    });
  });
}
