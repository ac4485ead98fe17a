import { readFile } from 'node:fs/promises';
import { consume, gather, inboxOf, messages, never, provisioned, topic } from '@waybill/conformance/requests';
import type { AdapterSubscription } from '@waybill/core/adapter';
import { isNotRun, isRequired, type KafkaBroker, type KafkaStart, startBroker } from '@waybill/testbed';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';

/** Brokers with settings of their own, which only a process of this run's can have. */
async function start(options: KafkaStart): Promise<KafkaBroker | null> {
  const answer = await startBroker('kafka', { ...options, from: 'process' });
  if (!isNotRun(answer)) return answer;
  if (isRequired('kafka')) throw new Error(answer.reason);
  return null;
}

const codeOf = async (options: KafkaOptions): Promise<string> => {
  const on = kafka({ timeout: '3s', ...options });
  try {
    await on.connect(never);
    return 'connected';
  } catch (error) {
    return on.classify(error);
  } finally {
    await on.close();
  }
};

describe('a broker that asks who one is, and what one may do', () => {
  let broker: KafkaBroker | null = null;
  beforeAll(async () => void (broker = await start({ sasl: 'scram-sha-256', acl: true })), 120_000);
  afterAll(async () => broker?.[Symbol.asyncDispose]());

  test('the right password is taken, by SCRAM; a wrong one, and none, are refused at once', async (context) => {
    if (broker === null) return context.skip('no Kafka can be started');
    const { url } = broker;
    expect(await codeOf({ url })).toBe('connected');
    expect(await codeOf({ url, password: 'marker-pw' })).toBe('denied');
    const on = kafka({ url, password: 'marker-pw' });
    await expect(on.connect(never)).rejects.toThrow(/^(?!.*marker-pw)/s);
    await on.close();
    expect(await codeOf({ url: url.replace(/\/\/.*@/, '//').replace(/\?.*/, ''), timeout: '1s' })).not.toBe(
      'connected',
    );
  });

  test('a user with the rights of the README publishes and consumes; without them each step is denied', async (context) => {
    if (broker === null) return context.skip('no Kafka can be started');
    const owner = kafka({ url: broker.url, partitions: 1 });
    await owner.connect(never);
    const orders = await provisioned(owner, topic());
    const url = await broker.user('worker', 'secret');
    const on = kafka({ url, partitions: 1, timeout: '3s', lease: '6s' });
    await on.connect(never);
    const denied = (attempt: Promise<unknown>): Promise<void> =>
      expect(attempt).rejects.toSatisfy((error) => on.classify(error) === 'denied');
    await denied(on.publish(orders, messages(1), never));
    await denied(consume(on, orders));
    await broker.allow('worker', { resource: 'topic', name: orders.name, operation: 'write' });
    const published = async (): Promise<unknown> =>
      (await on.publish(orders, messages(1), never).catch(() => []))[0]?.status;
    await expect.poll(published, { timeout: 10_000 }).toBe('confirmed');
    await denied(consume(on, orders));
    for (const name of [orders.name, inboxOf(orders).name])
      await broker.allow('worker', { resource: 'topic', name, operation: 'read' });
    await broker.allow('worker', { resource: 'group', name: `${orders.name}__g`, operation: 'read' });
    const from = await vi.waitFor(() => consume(on, orders), { timeout: 10_000 });
    expect(await gather(from, 1)).toHaveLength(1);
    await from.close();
    const transactional = (): Promise<AdapterSubscription> => consume(on, orders, { transactional: true });
    await denied(transactional());
    await broker.allow('worker', { resource: 'transaction', name: `${orders.name}__g__*`, operation: 'write' });
    const allowed = async (): Promise<unknown> =>
      (await transactional().catch(() => null))?.close().then(() => 'closed');
    await expect.poll(allowed, { timeout: 10_000 }).toBe('closed');
    await on.close();
    await owner.close();
  });
});

describe('a broker with TLS', () => {
  let broker: KafkaBroker | null = null;
  beforeAll(async () => void (broker = await start({ tls: true, sasl: 'plain' })), 120_000);
  afterAll(async () => broker?.[Symbol.asyncDispose]());

  test('is reached with its authority and a password; without either it is not', async (context) => {
    if (broker === null) return context.skip('no Kafka can be started');
    const { url } = broker;
    const ca = await readFile(broker.tls?.ca ?? '');
    const on = kafka({ url, tls: { ca }, partitions: 1 });
    await on.connect(never);
    const orders = await provisioned(on, topic());
    const [outcome] = await on.publish(orders, messages(1), never);
    expect(outcome?.status).toBe('confirmed');
    await on.close();
    expect(await codeOf({ url })).toBe('disconnected');
    expect(await codeOf({ url, tls: { ca }, password: 'wrong' })).toBe('denied');
    expect(await codeOf({ url: url.replace('kafkas:', 'kafka:'), timeout: '1s' })).toBe('disconnected');
  });
});
