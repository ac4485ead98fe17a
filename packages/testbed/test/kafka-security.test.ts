import { readFileSync } from 'node:fs';
import { type Admin, Kafka, type KafkaConfig, logLevel, type Producer, type SASLOptions } from 'kafkajs';
import { expect, test } from 'vitest';
import type { KafkaBroker } from '../src/index.ts';
import { withBroker } from './own-broker.ts';

/** As a user's client would come by this URL. */
function clientOf(url: string, tls: KafkaBroker['tls'], more: Partial<KafkaConfig> = {}): Kafka {
  const { host, username, password, searchParams } = new URL(url.replace(/^kafkas?:/, 'http:'));
  const mechanism = searchParams.get('sasl') as 'plain';
  const sasl: SASLOptions = { mechanism, username, password };
  const read = (path: string): string => readFileSync(path, 'utf8');
  const ssl = tls !== null && {
    ca: read(tls.ca),
    cert: read(tls.cert),
    key: read(tls.key),
    servername: 'localhost', // an address is no name
  };
  const patience = { connectionTimeout: 10_000, authenticationTimeout: 10_000, retry: { retries: 2 } };
  return new Kafka({ brokers: [host], sasl, ssl, logLevel: logLevel.NOTHING, ...patience, ...more });
}

async function during<C extends Admin | Producer, T>(client: C, use: (client: C) => Promise<T>): Promise<T> {
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.disconnect();
  }
}

await withBroker('kafka', { sasl: 'scram-sha-256', tls: 'mutual', acl: true }, (kafka) => {
  const send = (url: string, topic: string): Promise<unknown> =>
    during(clientOf(url, kafka.tls).producer(), (client) => client.send({ topic, messages: [{ value: 'hello' }] }));

  test('its user may do everything, others what they are allowed to; all of it outlives a restart', async () => {
    const topics = [{ topic: 'open' }, { topic: 'closed' }];
    await during(clientOf(kafka.url, kafka.tls).admin(), (client) => client.createTopics({ topics }));
    const url = await kafka.user('app', 'secret');
    await kafka.allow('app', { resource: 'topic', name: 'op*', operation: 'write' });
    await kafka.restart({ how: 'kill' });
    await send(kafka.url, 'closed');
    await send(url, 'open');
    await expect(send(url, 'closed')).rejects.toThrow(/not authorized/i);
  });

  test('without the password, or without a certificate, nobody comes in', async () => {
    await expect(send(kafka.url.replace(/:[0-9a-f]{48}@/, ':wrong@'), 'open')).rejects.toThrow(
      /authentication failed/i,
    );
    const ssl = { ca: readFileSync(kafka.tls?.ca ?? '', 'utf8'), servername: 'localhost' };
    await expect(
      during(clientOf(kafka.url, kafka.tls, { ssl }).admin(), (client) => client.listTopics()),
    ).rejects.toThrow();
  });

  test('it says that there can be no proxy', async () => {
    expect(kafka.can.users).toBe(true);
    await expect(kafka.proxy()).rejects.toThrow(/TLS/);
  });
});
