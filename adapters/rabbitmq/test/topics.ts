import {
  consume,
  gather,
  idsOf,
  inboxOf,
  message,
  messages,
  never,
  provisioned,
  specOf,
  topic,
} from '@waybill/conformance/requests';
import { describe, expect, test } from 'vitest';
import { rabbitmq } from '../src/index.ts';
import { adapter, broker, raw, url } from './server.ts';

export function topics(): void {
  describe('topics', () => {
    test('what is there with other arguments is named and left as it is', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const other = await adapter({ maxLength: 100 });
      await expect(other.provision(specOf(orders), never)).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringMatching(new RegExp(`queue '${orders.name}__g'.*x-max-length.*none.*100`)),
      });
      const fanout = topic();
      await (await raw()).assertExchange(fanout.name, 'fanout');
      await expect(a.provision(specOf(fanout), never)).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringMatching(/exchange.*type.*fanout.*topic/),
      });
      await a.publish(orders, messages(1), never); // the connection is none the worse
    });

    test('another number of partitions is refused, with both named', async () => {
      const a = await adapter();
      const orders = await provisioned(a, topic(3));
      for (const topology of ['create', 'verify', 'none'] as const)
        await expect(a.provision(specOf({ ...orders, partitions: 4 }, { topology }), never)).rejects.toMatchObject({
          code: 'invalid',
          message: expect.stringMatching(/'3'.*4|3 .*4/),
        });
    });

    test('verify names all that is missing, and makes nothing', async () => {
      const a = await adapter();
      const orders = topic();
      const verifying = a.provision(specOf(orders, { topology: 'verify' }), never);
      await expect(verifying).rejects.toMatchObject({
        code: 'not-found',
        message: expect.stringMatching(
          new RegExp(`exchange '${orders.name}'.*exchange '${orders.name}__g__retry'.*queue '${orders.name}__g'`),
        ),
      });
      await expect(a.provision(specOf(orders, { topology: 'verify' }), never)).rejects.toMatchObject({
        code: 'not-found',
      });
      await a.provision(specOf(orders), never);
      await a.provision(specOf(orders, { topology: 'verify' }), never);
    });

    test('an exchange and a queue of another program are used under their addresses', async () => {
      const a = await adapter();
      const channel = await raw();
      const name = topic().name;
      await channel.assertExchange(`old-${name}`, 'topic');
      await channel.assertQueue(`old-${name}-queue`, { arguments: { 'x-max-length': 7 } });
      const orders = { ...topic(), address: `old-${name}` };
      const address = `old-${name}-queue`;
      const groups = [{ group: 'g', address, start: 'held' as const, inbox: inboxOf({ ...orders, address: null }) }];
      await a.provision({ topology: 'create', destination: orders, retention: null, groups }, never);
      const s = await consume(a, orders, { groupAddress: address });
      await a.publish(orders, messages(1), never);
      await a.publish(inboxOf({ ...orders, address: null }), messages(1), never);
      expect(await gather(s, 2)).toHaveLength(2);
    });

    test('classic queues hold messages, in order, and count no deliveries', async () => {
      const a = await adapter({ queues: 'classic' });
      for (const partitions of [null, 2]) {
        const orders = await provisioned(a, topic(partitions));
        const sent = Array.from({ length: 10 }, () => message({ key: 'k', partition: partitions && 1 }));
        const outcomes = await a.publish(orders, sent, never);
        expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['confirmed']));
        const first = await consume(a, orders);
        await gather(first, 10);
        await first.close();
        const again = await gather(await consume(a, orders), 10);
        expect(idsOf(again)).toEqual(idsOf(sent));
        expect(again[0]?.deliveryCount).toBeNull();
      }
      const queues = (await broker?.api('GET', '/api/queues?columns=name,type')) as { name: string; type: string }[];
      expect(queues.filter(({ name, type }) => name.endsWith('__2__1') && type === 'classic').length).toBeGreaterThan(
        0,
      );
    });

    test('dead letters can be looked at, and are still there', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const letters = { ...orders, kind: 'dead-letter' as const, name: `${orders.name}__g__dlq`, group: 'g' };
      const sent = messages(5);
      await a.publish(letters, sent, never);
      for (let look = 1; look <= 3; look++)
        expect((await a.browse?.(letters, null, 3))?.map(({ id }) => id)).toEqual(sent.slice(0, 3).map(({ id }) => id));
      await expect(a.browse?.(orders, null, 3)).rejects.toMatchObject({ code: 'unsupported' });
    });
  });

  describe('connecting', () => {
    const refused = async (address: string, options: object = {}): Promise<{ code: string; message: string }> => {
      const a = rabbitmq({ url: address, ...options });
      try {
        await a.connect(never);
      } catch (error) {
        return { code: a.classify(error), message: (error as Error).message };
      } finally {
        await a.close();
      }
      throw new Error('it connected');
    };

    test('a wrong vhost, a wrong password and an older server are told apart', async () => {
      expect(await refused(`${url}/nowhere`)).toMatchObject({
        code: 'denied',
        message: expect.stringContaining('nowhere'),
      });
      const wrong = await refused(url.replace(/:[^:@]*@/, ':marker-pw@'));
      expect(wrong).toMatchObject({ code: 'denied', message: expect.not.stringContaining('marker-pw') });
      if (broker?.version.startsWith('3.') === true)
        expect(await refused(url, { server: '4.0' })).toMatchObject({
          code: 'unsupported',
          message: expect.stringContaining('3.10'),
        });
      expect((await refused('amqp://127.0.0.1:1')).code).toBe('disconnected');
    });

    test('hosts are tried in turn', async () => {
      const a = await adapter({ url: url.replace('@', '@127.0.0.1:1,') });
      expect((await a.connect(never))['version']).toBe(broker?.version);
    });

    test('when a host is lost the next one takes over, with what was confirmed', async () => {
      const [first, second] = [await broker?.proxy(), await broker?.proxy()];
      const a = await adapter({ url: url.replace(/@.*$/, `@127.0.0.1:${first?.port},127.0.0.1:${second?.port}`) });
      const orders = await provisioned(a);
      const sent = messages(2);
      await a.publish(orders, sent, never);
      expect(second?.accepted).toBe(0);
      first?.refuse();
      first?.cut();
      await a.connect(never);
      expect(second?.accepted).toBe(2);
      expect(idsOf(await gather(await consume(a, orders), 2))).toEqual(idsOf(sent));
    });

    test('a user without rights is denied, and the connection stays', async () => {
      const orders = await provisioned(await adapter());
      const limited = await broker?.user('limited', 'pw', { configure: '^$', write: '^$', read: '.*' });
      const a = await adapter({ url: limited ?? '' });
      await expect(a.provision(specOf(topic()), never)).rejects.toSatisfy((error) => a.classify(error) === 'denied');
      const [outcome] = await a.publish(orders, messages(1), never);
      expect('error' in (outcome ?? {}) && a.classify((outcome as { error: unknown }).error)).toBe('denied');
      expect(await (await consume(a, orders)).receive(1, never)).toEqual([]);
    });

    test('after its close it says so, and closing again is nothing', async () => {
      const a = await adapter();
      const orders = await provisioned(a);
      const s = await consume(a, orders);
      await a.close();
      await a.close();
      await expect(a.connect(never)).rejects.toMatchObject({ code: 'closed' });
      await expect(a.publish(orders, messages(1), never)).rejects.toMatchObject({ code: 'closed' });
      await expect(s.receive(1, never)).rejects.toMatchObject({ code: 'closed' });
      const { consumerCount } = await (await raw()).checkQueue(`${orders.name}__g`);
      expect(consumerCount).toBe(0);
    });
  });
}
