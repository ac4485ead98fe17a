import { gather, idsOf, message, messages, never, provisioned, topic } from '@waybill/conformance/requests';
import { expect, test } from 'vitest';
import { adapter, admin, broker, consume } from './server.ts';

export function publishing(): void {
  test('keys keep their partition, and messages of one publish without a key share one', async () => {
    const on = await adapter();
    const ordered = await provisioned(on, topic(3));
    const [first] = await on.publish(ordered, [message({ key: 'a', partition: 2 })], never);
    expect(first).toEqual({ status: 'confirmed', position: { 2: '0' } });
    const plain = await provisioned(on);
    const outcomes = await on.publish(plain, messages(3), never);
    const partitions = outcomes.map((one) => (one.status === 'confirmed' ? Object.keys(one.position ?? {})[0] : null));
    expect(new Set(partitions).size).toBe(1);
  });

  test('a topic that is not there is refused, and not made', async () => {
    const on = await adapter();
    const gone = topic();
    await expect(on.publish(gone, messages(1), never)).rejects.toSatisfy((error) => on.classify(error) === 'not-found');
    expect(await admin.listTopics()).not.toContain(gone.name);
  });

  test('another number of partitions is refused, by name and numbers', async () => {
    const on = await adapter();
    const three = await provisioned(on, topic(3));
    const four = { ...three, partitions: 4 };
    const refusal = /has 3 partitions, and 4 are configured/;
    await expect(on.publish(four, [message({ key: 'a', partition: 3 })], never)).rejects.toThrow(refusal);
    await expect(consume(on, four)).rejects.toThrow(refusal);
    for (const topology of ['create', 'verify', 'none'] as const)
      await expect(on.provision({ topology, destination: four, retention: null, groups: [] }, never)).rejects.toThrow(
        refusal,
      );
  });

  test('what the topic finds too large is refused alone; its neighbours are stored', async () => {
    const on = await adapter();
    const small = topic();
    const config = [{ name: 'max.message.bytes', value: '5000' }];
    await admin.createTopics({
      topics: [{ topic: small.name, numPartitions: 1, configEntries: config }],
      waitForLeaders: true,
    });
    const bodies = [10, 20_000, 10].map((size) => message({ body: Buffer.alloc(size) }));
    const outcomes = await on.publish(small, bodies, never);
    expect(outcomes.map(({ status }) => status)).toEqual(['confirmed', 'rejected', 'confirmed']);
    expect(outcomes[1]?.status === 'rejected' && on.classify(outcomes[1].error)).toBe('too-large');
    await expect(
      on.provision({ topology: 'verify', destination: small, retention: null, groups: [] }, never),
    ).rejects.toThrow(/max\.message\.bytes 5000/);
  });

  test('idempotent: overlapping publishes whose answers are lost are stored once, in order', async () => {
    if (broker?.can.proxy !== true) return;
    const proxy = await broker.proxy();
    const on = await adapter({ url: proxy.url, idempotent: true, timeout: '1s' });
    const once = await provisioned(on, topic(1));
    const all = messages(60, { key: 'k', partition: 0 });
    const sends = [];
    for (let at = 0; at < all.length; at += 5) {
      if (at === 20 || at === 40) void proxy.lose('answer', (bytes) => bytes.includes('waybill-id'));
      sends.push(on.publish(once, all.slice(at, at + 5), never));
    }
    const outcomes = (await Promise.all(sends)).flat();
    expect(outcomes.filter(({ status }) => status !== 'confirmed')).toEqual([]);
    const stored = await on.browse?.(once, null, 1_000);
    expect(idsOf(stored ?? [])).toEqual(idsOf(all));
    await on.close();
  });

  test('gzip is read back', async () => {
    const on = await adapter({ compression: 'gzip' });
    const zipped = await provisioned(on);
    const sent = messages(20, { body: Buffer.alloc(2_000, 'x') });
    await on.publish(zipped, sent, never);
    const from = await consume(on, zipped);
    expect(idsOf(await gather(from, 20))).toEqual(idsOf(sent));
    await from.close();
  });
}
