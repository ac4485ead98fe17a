import { randomBytes } from 'node:crypto';
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
} from '@waybill/conformance/requests';
import { describe, expect, test } from 'vitest';
import { adapter, raw, streamOf } from './server.ts';

export function publishing(): void {
  describe('publish', () => {
    test('gives one outcome each, positions rising', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const outcomes = await a.publish(orders, messages(600), never);
      expect(outcomes.filter(({ status }) => status === 'confirmed')).toHaveLength(600);
      expect(new Set(outcomes.map((one) => JSON.stringify(one))).size).toBe(600);
      expect(await raw.xlen(streamOf(orders))).toBe(600);
    });

    test('rejects not-found for a stream that is not there, and makes none', async () => {
      const a = await adapter();
      const nowhere = topic();
      for (const delay of [0, 50]) {
        const [outcome] = await a.publish(nowhere, [message({ delay })], never);
        expect(outcome).toMatchObject({ status: 'rejected', error: { code: 'not-found' } });
      }
      expect(await raw.exists(streamOf(nowhere))).toBe(0);
    });

    test('rejects what the server refuses, its neighbours not', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      await raw.set(streamOf({ ...orders, name: 'wrong' }), 'no stream');
      const [outcome] = await a.publish({ ...orders, name: 'wrong' }, [message()], never);
      expect(outcome?.status).toBe('rejected');
      expect(a.classify((outcome as { error: unknown }).error)).toBe('invalid');
      expect((await a.publish(orders, [message()], never))[0]?.status).toBe('confirmed');
    });

    test('carries every part byte for byte', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const headers = Object.assign(Object.create(null) as Record<string, string | Uint8Array>, {
        ['__proto__x']: 'ü€😀',
        body: 'a header of this name',
        bytes: randomBytes(64),
        text: new Uint8Array(Buffer.from('bytes that are text')),
        empty: '',
      });
      Object.defineProperty(headers, '__proto__', { value: 'odd', enumerable: true });
      const bodies = [randomBytes(5_000), Buffer.alloc(0), Buffer.from('{"ü":1}'), new Uint8Array([0, 13, 10, 255])];
      const sent = bodies.map((body) =>
        message({
          body,
          headers,
          key: 'k€',
          type: 't',
          source: 's',
          contentType: 'a/b',
          control: { attempt: 3, notBefore: 5, group: 'g', expires: 9, dead: { topic: 'x' } },
        }),
      );
      await a.publish(orders, sent, never);
      // Through the script as well, and the inbox's sorted set.
      const delayed = sent.map((one) => ({ ...one, delay: 20 }));
      await a.publish(inboxOf(orders), delayed, never);
      const got = await gather(await consume(a, orders), 8);
      expect(got.map(({ origin }) => origin).toSorted()).toEqual([
        ...Array(4).fill('inbox'),
        ...Array(4).fill('topic'),
      ]);
      for (const one of got) {
        const { id, time, key, type, source, contentType, control, body } =
          sent.find((other) => other.id === one.id) ?? message();
        expect({ ...one, body: Buffer.from(one.body) }).toMatchObject({
          id,
          time,
          key,
          type,
          source,
          contentType,
          control,
          body: Buffer.from(body),
        });
        expect(Object.keys(one.headers).toSorted()).toEqual(Object.keys(headers).toSorted());
        for (const name of Object.keys(headers)) {
          const value = headers[name] ?? '';
          if (typeof value === 'string') expect(one.headers[name]).toBe(value);
          else expect(Buffer.compare(one.headers[name] as Uint8Array, value)).toBe(0);
        }
      }
    });

    test('holds back for as long as was asked, on topic and inbox, and only for the group', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(), { groups: ['g', 'other'] });
      const one = await consume(a, orders);
      const two = await consume(a, orders, { group: 'other' });
      const began = Date.now();
      await a.publish(orders, [message({ id: 'p7', delay: 700 })], never);
      await a.publish(inboxOf(orders), [message({ id: 'r2', delay: 400 }), message({ id: 'now' })], never);
      const when: Record<string, number> = {};
      while (Object.keys(when).length < 3 && Date.now() - began < 5_000)
        for (const { id } of await one.receive(10, never)) when[id] = Date.now() - began;
      expect(when['now']).toBeLessThan(400);
      expect(when['r2']).toBeGreaterThanOrEqual(400);
      expect(when['r2']).toBeLessThan(400 + a.supports.requeue.lateness);
      expect(when['p7']).toBeGreaterThanOrEqual(700);
      expect(when['p7']).toBeLessThan(700 + a.supports.publish.delay.lateness);
      expect(idsOf(await gather(two, 1))).toEqual(['p7']);
      expect(await two.receive(10, never)).toEqual([]);
    });

    test('stores a sendId once within the window, per destination', async () => {
      const a = await adapter({ dedup: { window: '30s' } });
      expect(a.supports.publish.dedup).toEqual({ by: 'emulated', window: 30_000 });
      const orders = await provisioned(a);
      const [first] = await a.publish(orders, [message({ id: 'x', sendId: 's1' })], never);
      const [second, other] = await a.publish(
        orders,
        [message({ id: 'x', sendId: 's1' }), message({ id: 'x', sendId: 's2' })],
        never,
      );
      expect(second).toEqual(first);
      expect(other).not.toEqual(first);
      await a.publish(
        inboxOf(orders),
        [message({ id: 'x', sendId: 's1', delay: 10 }), message({ id: 'x', sendId: 's1', delay: 10 })],
        never,
      );
      expect(await gather(await consume(a, orders), 4, { within: 1_500 })).toHaveLength(3);
    });

    test('reads what other programs wrote', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const stream = streamOf(orders);
      await raw.xadd(stream, '*', 'payload', 'p', 'traceparent', '00-1');
      await raw.xadd(stream, '*', 'user', '7', 'amount', '9');
      await raw.xadd(stream, '*', 'body', 'b', 'data', 'd', 'headers', '{"waybill-key":"k","n":1,"raw":["/w=="]}');
      await raw.xadd(stream, '*', 'body', 'c', 'headers', '{not json');
      const s = await consume(a, orders);
      const got = await gather(s, 4);
      expect(got.map(({ body }) => Buffer.from(body).toString())).toEqual(['p', '{"user":"7","amount":"9"}', 'b', 'c']);
      const expected = [
        { traceparent: '00-1' },
        {},
        { data: 'd', n: '1', raw: Buffer.from([255]) },
        { headers: '{not json' },
      ];
      expect(got.map(({ headers }) => ({ ...headers }))).toEqual(expected);
      expect(got[2]?.key).toBe('k');
      expect(got[0]?.id).toBe(got[0]?.position?.['0']);
      expect(got[0]?.time).toBeGreaterThan(Date.now() - 60_000);
      expect(await s.ack(receiptsOf(got))).toEqual(['ok', 'ok', 'ok', 'ok']);
    });
  });
}
