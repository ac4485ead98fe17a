import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import {
  consume,
  gather,
  inboxOf,
  message,
  messages,
  never,
  provisioned,
  receiptsOf,
  topic,
} from '@waybill/conformance/requests';
import { connect, topic as topicOf } from '@waybill/core';
import { describe, expect, test } from 'vitest';
import { redis } from '../src/index.ts';
import { adapter, keyPrefix, raw, streamOf, url } from './server.ts';

/** A server that answers every request by what this says. */
async function serving(answer: (request: string) => string): Promise<{ server: Server; url: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => socket.write(answer(bytes.toString())));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}/0` };
}

async function refusal(at: string): Promise<{ code: string; text: string }> {
  const a = redis({ url: at, timeout: '1s' });
  const error: unknown = await a.connect(never).catch((failure: unknown) => failure);
  await a.close();
  return { code: a.classify(error), text: String(error) };
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;

export function badInput(): void {
  describe('bad input', () => {
    test('what is no Redis, and a Redis that is too old, is said to be that', async () => {
      const web = await serving(() => 'HTTP/1.1 400 Bad Request\r\n\r\n');
      expect(await refusal(web.url)).toEqual({
        code: 'disconnected',
        text: expect.stringContaining('is no Redis') as string,
      });
      web.server.close();
      // One answer for each command of a pipeline.
      const old = await serving((request) =>
        [...request.matchAll(/^\*\d+\r\n\$\d+\r\n(\w+)/gm)]
          .map(([, name]) => {
            if (name?.toLowerCase() === 'info') return bulk('redis_version:6.0.16\r\nrole:master\r\naof_enabled:1\r\n');
            return name?.toLowerCase() === 'client' ? '+OK\r\n' : '*0\r\n';
          })
          .join(''),
      );
      const { code, text } = await refusal(old.url);
      expect([code, text]).toEqual(['unsupported', expect.stringContaining('6.0.16')]);
      old.server.close();
    });

    test('a key of another type in our place is an error that names it, not a group that hangs', async () => {
      const a = await adapter();
      for (const destination of [topic(), topic(2)]) {
        const stream =
          destination.partitions === null ? streamOf(destination) : `${keyPrefix}{${destination.name}__2__0}:stream`;
        await raw.set(stream, 'something else');
        const groups = [{ group: 'g', address: null, start: 'held' as const, inbox: inboxOf(destination) }];
        const spec = { topology: 'create' as const, destination, retention: null, groups };
        const error: unknown = await a.provision(spec, never).catch((failure: unknown) => failure);
        expect([a.classify(error), String(error)]).toEqual(['invalid', expect.stringContaining('WRONGTYPE')]);
      }
    });

    test.each([['unordered'], ['ordered']])(
      'entries of strangers that can not be read are dead letters, and those behind them come (%s)',
      { timeout: 30_000 },
      async (how) => {
        const name = `foreign-${how}`;
        const prefix = `${keyPrefix}${randomBytes(3).toString('hex')}:`;
        const orders = topicOf<{ n: number }>(name, how === 'ordered' ? { key: () => 'k' } : {});
        await using bus = await connect({
          brokers: { main: { url, redis: { keyPrefix: prefix } } },
          topics: { [name]: { groups: ['g'], ...(how === 'ordered' && { partitions: 1 }) } },
        });
        const dead: string[] = [];
        bus.on('dead-lettered', ({ code }) => dead.push(code));
        const handled: number[] = [];
        await bus.subscribe(orders, { group: 'g' }, ({ payload }) => handled.push(payload.n));
        const stream = how === 'ordered' ? `${prefix}{${name}__1__0}:stream` : `${prefix}{${name}}:stream`;
        await raw.xadd(stream, '*', 'body', 'no json', 'headers', 'no json either');
        await raw.xadd(
          stream,
          '*',
          'body',
          Buffer.from([0xff, 0, 1]),
          'headers',
          '["an","array"]',
          '',
          '',
          'Content-Type',
          'x',
        );
        await raw.xadd(stream, '*', 'body', '{', 'waybill-attempt', '-1', 'waybill-expires', 'never');
        await bus.publish(orders, { n: 1 });
        await expect.poll(() => handled, { timeout: 10_000 }).toEqual([1]);
        await expect.poll(() => dead, { timeout: 10_000 }).toEqual(['poison', 'poison', 'poison']);
        await expect.poll(async () => (await bus.lag(orders, 'g')).count, { timeout: 10_000 }).toBe(0);
      },
    );

    test('who trims the stream loses messages, and stops nobody', async () => {
      const a = await adapter();
      for (const destination of [topic(), topic(1)]) {
        const orders = await provisioned(a, destination);
        const of = (count: number): ReturnType<typeof messages> =>
          messages(count).map((one) => (destination.ordered ? { ...one, key: 'k', partition: 0 } : one));
        await a.publish(orders, of(10), never);
        const first = await consume(a, orders);
        expect(await gather(first, 4, { max: 2 })).not.toHaveLength(0);
        const stream = destination.ordered ? `${keyPrefix}{${destination.name}__1__0}:stream` : streamOf(orders);
        await raw.xtrim(stream, 'MAXLEN', 0);
        await first.close();
        const [after] = of(1);
        await a.publish(orders, [after ?? message()], never);
        const second = await consume(a, orders);
        const got = await gather(second, 1);
        expect(got.map(({ id }) => id)).toEqual([after?.id]);
        expect(await second.ack(receiptsOf(got))).toEqual(['ok']);
        await expect.poll(async () => (await a.lag?.(orders, 'g', null))?.count).toBe(0);
        await second.close();
      }
    });
  });
}
