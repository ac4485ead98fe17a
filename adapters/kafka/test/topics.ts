import { gather, inboxOf, messages, never, provisioned, topic } from '@waybill/conformance/requests';
import { expect, test } from 'vitest';
import { adapter, admin, committed, consume, removeBefore } from './server.ts';

async function configOf(name: string): Promise<Record<string, string>> {
  const { default: kafkajs } = (await import('kafkajs')) as unknown as { default: typeof import('kafkajs') };
  const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name }];
  const found = await admin.describeConfigs({ includeSynonyms: false, resources });
  return Object.fromEntries(found.resources[0]?.configEntries.map((one) => [one.configName, one.configValue]) ?? []);
}

export function topics(): void {
  test('are made with partitions, retention and an inbox of as many, and dead letters with one that keeps', async () => {
    const on = await adapter({ retention: '1h', partitions: 3 });
    const plain = topic();
    const groups = [{ group: 'g', address: null, start: 'held' as const, inbox: inboxOf(plain) }];
    await on.provision({ topology: 'create', destination: plain, retention: 120_000, groups }, never);
    const dead = { ...topic(), kind: 'dead-letter' as const };
    await on.provision({ topology: 'create', destination: dead, retention: null, groups: [] }, never);
    const counts = (await admin.fetchTopicMetadata({ topics: [plain.name, inboxOf(plain).name, dead.name] })).topics;
    const count = (name: string): number => counts.find((one) => one.name === name)?.partitions.length ?? 0;
    expect([count(plain.name), count(inboxOf(plain).name), count(dead.name)]).toEqual([3, 3, 1]);
    expect((await configOf(plain.name))['retention.ms']).toBe('120000');
    expect((await configOf(inboxOf(plain).name))['retention.ms']).toBe(String(7 * 86_400_000));
    expect((await configOf(dead.name))['retention.ms']).toBe('-1');
    const other = { topology: 'create' as const, destination: plain, retention: 60_000, groups: [] };
    await expect(on.provision(other, never)).rejects.toThrow(/retention\.ms 120000; asked for: 60000/);
    await expect(
      on.provision({ topology: 'verify', destination: topic(), retention: null, groups: [] }, never),
    ).rejects.toThrow(/does not exist/);
  });

  test('a new group that starts at the end has its place from provisioning on', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    await on.publish(orders, messages(3, { key: 'k', partition: 0 }), never);
    const groups = [{ group: 'late', address: null, start: 'latest' as const, inbox: inboxOf(orders, 'late') }];
    await on.provision({ topology: 'create', destination: orders, retention: null, groups }, never);
    expect((await committed(orders, 'late'))[0]).toBe('3');
    await on.publish(orders, messages(2, { key: 'k', partition: 0 }), never);
    await on.provision({ topology: 'create', destination: orders, retention: null, groups }, never);
    const from = await consume(on, orders, { group: 'late', start: 'latest' });
    expect((await gather(from, 2)).map(({ position }) => position?.['0'])).toEqual(['3', '4']);
    await from.close();
  });

  test('a group is moved while it is stopped, and refused by its members\u2019 names while it runs', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(2));
    await on.publish(
      orders,
      [0, 1].flatMap((partition) => messages(4, { key: 'k', partition })),
      never,
    );
    const from = await consume(on, orders);
    await expect(on.reset?.(orders, 'g', null, 'latest')).rejects.toThrow(/is running \(waybill-/);
    await from.close();
    await on.reset?.(orders, 'g', null, { position: { 1: '2' } });
    expect(await committed(orders)).toEqual({ 0: '0', 1: '2' });
    expect(await on.lag?.(orders, 'g', null)).toMatchObject({ count: 6, exact: true });
    await on.reset?.(orders, 'g', null, { time: 0 });
    expect(await committed(orders)).toEqual({ 0: '0', 1: '0' });
    await expect(on.lag?.(orders, 'nobody', null)).rejects.toThrow(/no group/);
  });

  test('tell since when they hold everything', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    expect(await on.oldest?.(orders)).toBeNull();
    const sent = messages(3, { key: 'k', partition: 0 }).map((one, at) => ({
      ...one,
      time: one.time - 3_000 + at * 1_000,
    }));
    await on.publish(orders, sent, never);
    expect(await on.oldest?.(orders)).toBeNull();
    await removeBefore(orders, '2');
    expect(await on.oldest?.(orders)).toBe(sent[2]?.time);
  });
}
