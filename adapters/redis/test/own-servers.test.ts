import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  consume,
  gather,
  idsOf,
  inboxOf,
  message,
  messages,
  never,
  receiptsOf,
  topic,
} from '@waybill/conformance/requests';
import type { Adapter, Delivery, Destination } from '@waybill/core/adapter';
import { isRequired } from '@waybill/testbed';
import { afterEach, describe, expect, test } from 'vitest';
import { redis, type RedisOptions } from '../src/index.ts';
import { keyed, perKey } from './ordering.ts';
import { canServe, ownCluster, ownSentinel, ownServer, type OwnServer, remedy } from './own-server.ts';

const servers: OwnServer[] = [];
const adapters: Adapter[] = [];

async function adapter(options: RedisOptions): Promise<Adapter> {
  const made = redis(options);
  adapters.push(made);
  await made.connect(never);
  return made;
}

async function provisioned(on: Adapter, destination: Destination): Promise<Destination> {
  const groups = [{ group: 'g', address: null, start: 'held' as const, inbox: inboxOf(destination) }];
  await on.provision({ topology: 'create', destination, retention: 60_000, groups }, never);
  return destination;
}

const statuses = (outcomes: readonly { status: string }[]): string[] => outcomes.map(({ status }) => status);

if (!canServe && isRequired('redis'))
  test('a Redis program is there, as WAYBILL_REQUIRE wants', () => {
    throw new Error(remedy);
  });

describe.skipIf(!canServe)(canServe ? 'servers of our own' : `not-run: ${remedy}`, () => {
  afterEach(async () => {
    await Promise.all(adapters.splice(0).map((one) => one.close()));
    await Promise.all(servers.splice(0).map((one) => one.stop()));
  });

  test('a full server refuses in order, and partitions are kept, taken and drained all the same', async () => {
    const server = await ownServer();
    servers.push(server);
    const a = await adapter({ url: server.url });
    const orders = await provisioned(a, topic(4));
    const body = Buffer.alloc(10_000);
    await a.publish(
      orders,
      keyed(20, 20, 4).map((one) => ({ ...one, body })),
      never,
    );
    const first = await consume(a, orders, { lease: 1_000 });
    const got = await gather(first, 100, { max: 50 });
    await server.raw.config('SET', 'maxmemory', '3mb');
    await server.raw.config('SET', 'maxmemory-policy', 'noeviction');
    const refused = await a.publish(orders, keyed(3, 3, 4, 20), never);
    expect(statuses(refused.slice(0, 3))).toEqual(['rejected', 'rejected', 'rejected']);
    expect(statuses(refused.slice(3))).toEqual(Array(6).fill('skipped'));
    expect(a.classify((refused[0] as { error: unknown }).error)).toBe('throttled');
    await sleep(2_500); // longer than the lease
    expect(await first.ack(receiptsOf(got))).not.toContain('lost');
    expect(got.every(({ fence }) => fence === 1)).toBe(true);
    await first.close();
    expect(statuses(await a.publish(orders, keyed(1, 1, 4, 20), never))).toEqual(['rejected']);
    const second = await consume(a, orders, { lease: 1_000, consumer: 'two' });
    const rest = await gather(second, 400 - got.length, { max: 50 });
    expect(rest.every(({ fence }) => fence === 2)).toBe(true);
    for (const numbers of Object.values(perKey([...got, ...rest])))
      expect(numbers).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(await second.ack(receiptsOf(rest))).not.toContain('lost');
  });

  test('a key that was refused holds back what follows it, over all of a call, and nothing else', async () => {
    const server = await ownServer();
    servers.push(server);
    const a = await adapter({ url: server.url });
    const orders = await provisioned(a, topic(1));
    // No stream refuses one entry alone. A delayed message goes another way, which is barred here.
    await server.raw.set(`{${orders.name}__1__0}:due`, 'no sorted set');
    const sent = keyed(4, 150, 1).map((one, at) => (at === 21 ? { ...one, delay: 50 } : one));
    const outcomes = await a.publish(orders, sent, never);
    const stored = new Set(idsOf((await a.browse?.(orders, null, 1_000)) ?? []));
    for (const [at, { id, key }] of sent.entries()) {
      const expected = key !== sent[21]?.key || at < 21 ? 'confirmed' : at === 21 ? 'rejected' : 'skipped';
      expect(outcomes[at]?.status, id).toBe(expected);
      expect(stored.has(id)).toBe(expected === 'confirmed');
    }
  });

  test('the master is found by its Sentinel', async () => {
    const server = await ownServer();
    servers.push(server);
    const sentinel = await ownSentinel(server);
    try {
      const a = await adapter({ url: sentinel.url, sentinel: { name: 'mymaster' } });
      const orders = await provisioned(a, topic(3));
      expect(new Set(statuses(await a.publish(orders, keyed(9, 5, 3), never)))).toEqual(new Set(['confirmed']));
      const got = await gather(await consume(a, orders), 45);
      expect(got).toHaveLength(45);
      expect(await server.raw.xlen(`{${orders.name}__3__0}:stream`)).toBeGreaterThan(0);
      const unknown = redis({ url: sentinel.url, sentinel: { name: 'nobody' } });
      const error: unknown = await unknown.connect(never).catch((failure: unknown) => failure);
      expect(['disconnected', 'unavailable']).toContain(unknown.classify(error));
      await unknown.close();
    } finally {
      await Promise.all(adapters.splice(0).map((one) => one.close()));
      await sentinel.stop();
    }
  });

  test('the rights that the README names are enough, for prefixed keys', async () => {
    const server = await ownServer();
    servers.push(server);
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const rights = /<!-- acl -->\s*```\s*([^`]+)```/.exec(readme)?.[1]?.trim().split(/\s+/) ?? [];
    expect(rights.length).toBeGreaterThan(3);
    await server.raw.acl('SETUSER', 'app', 'on', '>app-secret', 'resetkeys', '~wb:*', ...rights);
    const url = server.url.replace('redis://:', 'redis://app:').replace('own-server-secret', 'app-secret');
    const a = await adapter({ url, keyPrefix: 'wb:', dedup: { window: '10s' } });
    for (const destination of [topic(3), topic()]) {
      const orders = await provisioned(a, destination);
      const sent = destination.ordered ? keyed(9, 5, 3) : messages(45);
      expect(new Set(statuses(await a.publish(orders, sent, never)))).toEqual(new Set(['confirmed']));
      if (!destination.ordered) await a.publish(inboxOf(orders), [message({ delay: 100 })], never);
      const s = await consume(a, orders);
      const got = await gather(s, destination.ordered ? 45 : 46);
      expect(got.length).toBeGreaterThanOrEqual(45);
      await s.nack?.([got[0]?.receipt], { delay: 0, failed: false, attempt: 0 });
      if (!destination.ordered) await s.extend?.([got[1]?.receipt], 10_000);
      expect(await s.ack(receiptsOf(got.slice(1)))).not.toContain('lost');
      expect(await s.ack(receiptsOf(await gather(s, 1)))).toEqual(['ok']);
      await sleep(1_300); // a trim
      expect((await a.lag?.(orders, 'g', null))?.count).toBe(0);
      expect((await a.browse?.(orders, null, 100))?.length).toBe(45);
      expect(await a.oldest?.(orders)).toBeNull();
      await s.close();
      await a.reset?.(orders, 'g', null, 'earliest');
    }
  });

  test.each([
    ['move what is due', '+zrangebyscore', topic()],
    ['trim a topic', '+hget', topic()],
    ['trim partitions', '+hget', topic(2)],
  ])('a user who may not %s is told so by the subscription', async (_, missing, orders) => {
    const server = await ownServer();
    servers.push(server);
    await provisioned(await adapter({ url: server.url, keyPrefix: 'wb:' }), orders);
    await server.raw.acl(
      'SETUSER',
      'app',
      'on',
      '>app-secret',
      'resetkeys',
      '~wb:*',
      '+@all',
      missing.replace('+', '-'),
    );
    const url = server.url.replace('redis://:', 'redis://app:').replace('own-server-secret', 'app-secret');
    const a = await adapter({ url, keyPrefix: 'wb:' });
    const error: unknown = await gather(await consume(a, orders), 1).catch((failure: unknown) => failure);
    expect(a.classify(error)).toBe('denied');
  });

  test('what a user may not publish by a script is refused, and not unknown', async () => {
    const server = await ownServer();
    servers.push(server);
    const orders = await provisioned(await adapter({ url: server.url, keyPrefix: 'wb:' }), topic());
    await server.raw.acl('SETUSER', 'app', 'on', '>app-secret', 'resetkeys', '~wb:*', '+@all', '-exists');
    const url = server.url.replace('redis://:', 'redis://app:').replace('own-server-secret', 'app-secret');
    const a = await adapter({ url, keyPrefix: 'wb:' });
    const [outcome] = await a.publish(orders, messages(20), never);
    expect(outcome?.status).toBe('rejected');
    expect(a.classify((outcome as { error: unknown }).error)).toBe('denied');
  });

  test.each([
    ['of one node, as a plain server', 1, false],
    ['of one node', 1, true],
    ['of three nodes', 3, true],
  ])(
    'a Cluster %s: every script keeps to one slot, ordered and not',
    { timeout: 60_000 },
    async (_, nodes, cluster) => {
      const own = await ownCluster(nodes);
      servers.push(...own.servers);
      const url = cluster ? own.url : (own.servers[0]?.url ?? '');
      const a = await adapter({ url, ...(cluster && { cluster }) });
      for (const destination of [topic(12), topic()]) {
        const orders = await provisioned(a, destination);
        const sent = destination.ordered ? keyed(40, 10, 12) : messages(400);
        expect(new Set(statuses(await a.publish(orders, sent, never)))).toEqual(new Set(['confirmed']));
        await a.publish(
          inboxOf(orders),
          [message({ id: 'back', key: 'k1', partition: destination.ordered ? 3 : null })],
          never,
        );
        if (!destination.ordered) await a.publish(inboxOf(orders), [message({ id: 'later', delay: 300 })], never);
        const s = await consume(a, orders);
        const expected = destination.ordered ? 401 : 402;
        const got: Delivery[] = await gather(s, expected, { max: 100 });
        expect(new Set(idsOf(got)).size).toBe(expected);
        if (destination.ordered)
          for (const numbers of Object.values(perKey(got.filter(({ origin }) => origin === 'topic'))))
            expect(numbers).toHaveLength(10);
        expect((await a.lag?.(orders, 'g', null))?.count).toBe(expected);
        await s.nack?.([got.at(-1)?.receipt], { delay: 0, failed: false, attempt: 0 });
        expect(await s.ack(receiptsOf(got.slice(0, -1)))).not.toContain('lost');
        const again = await gather(s, 1);
        expect(idsOf(again)).toEqual(idsOf(got.slice(-1)));
        expect(await s.ack(receiptsOf(again))).toEqual(['ok']);
        await s.close();
        await a.reset?.(orders, 'g', null, 'earliest');
        expect((await a.lag?.(orders, 'g', null))?.count).toBe(400);
        const replay = await consume(a, orders, { bounded: true, inbox: null, group: 'again' });
        expect(await gather(replay, 400)).toHaveLength(400);
      }
      await a.close();
      if (nodes === 1) return;
      const wrong = redis({ url: own.servers[0]?.url ?? '' });
      await expect(wrong.connect(never)).rejects.toMatchObject({ code: 'unsupported' });
      await wrong.close();
    },
  );
});
