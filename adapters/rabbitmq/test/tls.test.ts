import { readFile } from 'node:fs/promises';
import { consume, gather, idsOf, messages, never, specOf, topic } from '@waybill/conformance/requests';
import { describeNotRun, isNotRun, startBroker } from '@waybill/testbed';
import { afterAll, expect, test } from 'vitest';
import { rabbitmq, type RabbitOptions } from '../src/index.ts';

const broker = process.env['WAYBILL_SUITE'] === 'full' ? await startBroker('rabbitmq', { tls: 'mutual' }) : null;

if (broker === null || isNotRun(broker)) {
  const why = broker === null ? 'not-run: RabbitMQ with TLS; npm run test:full runs it' : describeNotRun(broker);
  test.skip(why, () => undefined);
} else {
  afterAll(() => broker[Symbol.asyncDispose]());
  const read = (path = ''): Promise<string> => readFile(path, 'utf8');
  const ca = await read(broker.tls?.ca);
  const tls = { ca, cert: await read(broker.tls?.cert), key: await read(broker.tls?.key), servername: 'localhost' };

  const connects = async (options: RabbitOptions): Promise<unknown> => {
    const a = rabbitmq(options);
    try {
      return (await a.connect(never))['tls'];
    } catch (error) {
      return a.classify(error);
    } finally {
      await a.close();
    }
  };

  test('by TLS, with a client certificate and a password', async () => {
    const a = rabbitmq({ url: broker.url, tls });
    expect(await a.connect(never)).toMatchObject({ tls: true, server: 'RabbitMQ' });
    const orders = topic();
    await a.provision(specOf(orders), never);
    const sent = messages(3);
    await a.publish(orders, sent, never);
    expect(idsOf(await gather(await consume(a, orders), 3))).toEqual(idsOf(sent));
    await a.close();
  });

  test('by the certificate alone, as the user that it names', async () => {
    const url = broker.url.replace(/\/\/.*@/, '//');
    expect(await connects({ url, tls, sasl: 'external' })).toBe('denied'); // nobody has that name
    await broker.user('client', 'not asked for');
    expect(await connects({ url, tls, sasl: 'external' })).toBe(true);
  });

  test('a server that is not trusted, and a client without a certificate, are refused', async () => {
    expect(await connects({ url: broker.url })).toBe('disconnected');
    expect(await connects({ url: broker.url, tls: { ca, servername: 'localhost' } })).toBe('disconnected');
  });
}
