import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { requireBroker } from '../src/index.ts';
import { probeKafka } from '../src/kafka-admin.ts';
import { askKafka, KAFKA_API, KafkaWriter } from '../src/kafka-wire.ts';
import type { Place } from '../src/recipe.ts';
import { withBroker } from './own-broker.ts';

const placeOf = (address: string): Place => {
  const { hostname, port } = new URL(address.includes('://') ? address : `kafka://${address}`);
  return { host: hostname, port: Number(port) };
};

/** Where clients are told to go on, and the topics that there are. */
async function metadata(place: Place): Promise<{ ports: number[]; topics: string[] }> {
  const request = { api: KAFKA_API.metadata, version: 1, body: new KafkaWriter().int32(-1) };
  const answer = await askKafka(place, request, 5_000);
  const port = (): number => {
    answer.int32();
    answer.string();
    const told = answer.int32();
    answer.string();
    return told;
  };
  const ports = answer.list(port);
  answer.int32();
  const topics = answer.list(() => {
    answer.int16();
    const name = answer.string();
    answer.int8();
    answer.list(() => {
      answer.int16();
      answer.int32();
      answer.int32();
      answer.list(() => answer.int32());
      answer.list(() => answer.int32());
    });
    return name;
  });
  return { ports, topics };
}

async function createTopic(place: Place, name: string, copies = 1): Promise<void> {
  const topic = new KafkaWriter().int32(1).string(name).int32(1).int16(copies).int32(0).int32(0);
  const answer = await askKafka(place, { api: 19, version: 2, body: topic.int32(5_000).int8(0) }, 10_000);
  answer.int32();
  expect(answer.list(() => [answer.string(), answer.int16()].concat(answer.string()))).toEqual([[name, 0, '']]);
}

await withBroker('kafka', {}, (kafka) => {
  const place = placeOf(kafka.plain);

  test('it says what it is', () => {
    expect(kafka).toMatchObject({ name: 'kafka', how: 'process', kind: 'real', running: true, tls: null });
    expect(kafka.version).toBe('4.4.0');
    expect(kafka.url).toBe(`kafka://127.0.0.1:${place.port}`);
    expect(kafka.can).toMatchObject({ kill: true, proxy: true, users: expect.stringContaining('sasl') as unknown });
  });

  test('clients that came by a proxy are told to come by it again', async () => {
    const [one, other] = [await kafka.proxy(), await kafka.proxy()];
    expect((await metadata(placeOf(one.url))).ports).toEqual([one.port]);
    expect((await metadata(placeOf(other.url))).ports).toEqual([other.port]);
    expect((await metadata(place)).ports).toEqual([place.port]);
    const body = new KafkaWriter().string('any');
    const found = await askKafka(placeOf(one.url), { api: KAFKA_API.findCoordinator, version: 0, body }, 5_000);
    expect([found.int16(), found.int32(), found.string(), found.int32()]).toEqual([0, 1, '127.0.0.1', one.port]);
  });

  test('an answer in pieces is put together', async () => {
    const proxy = await kafka.proxy();
    proxy.slow(2_000);
    expect((await metadata(placeOf(proxy.url))).ports).toEqual([proxy.port]);
    proxy.heal();
  });

  test('at its address: nothing of it can be broken', async () => {
    await using given = await requireBroker('kafka', { env: { WAYBILL_KAFKA_URL: kafka.url } });
    expect(given).toMatchObject({ how: 'address', kind: 'real', url: kafka.url, plain: kafka.plain, nodes: [] });
    expect(given.can.proxy).toContain('past a proxy');
    await expect(given.kill()).rejects.toThrow(/given address/);
  });

  test('kill leaves nobody at its port; restart has the same data, port and URL', async () => {
    await createTopic(place, 'kept');
    const { url } = kafka;
    await kafka.kill();
    const refused = new Promise((resolve) => connect(place).once('error', resolve));
    expect(String(await refused)).toContain('ECONNREFUSED');
    await kafka.restart();
    expect((await metadata(place)).topics).toContain('kept');
    expect(kafka.url).toBe(url);
  });

  test('paused it answers nothing; then it goes on', async () => {
    await kafka.pause();
    await expect(probeKafka(place, 1, 300)).rejects.toThrow(/no answer within 300 ms/);
    await kafka.unpause();
    await probeKafka(place, 1, 5_000);
  });

  test('reset leaves no topic but its own', async () => {
    await createTopic(place, 'gone');
    await kafka.reset();
    expect((await metadata(place)).topics.filter((name) => !name.startsWith('__'))).toEqual([]);
  });
});

if (process.env['WAYBILL_SUITE'] === 'full')
  await withBroker('kafka', { nodes: 3, deadline: 180_000 }, (kafka) => {
    test('three nodes: two go on without the third, which comes back', async () => {
      expect(kafka.can.proxy).toContain('several');
      expect(kafka.url.split(',')).toHaveLength(3);
      const places = kafka.nodes.map(({ plain }) => placeOf(plain));
      await createTopic(places[0] as Place, 'all', 3);
      await kafka.nodes[0]?.kill();
      expect(kafka.running).toBe(false);
      await expect.poll(() => createTopic(places[1] as Place, 'two', 2), { timeout: 60_000 }).toBeUndefined();
      await kafka.nodes[0]?.start();
      await expect
        .poll(async () => (await metadata(places[0] as Place)).topics, { timeout: 60_000 })
        .toEqual(expect.arrayContaining(['all', 'two']));
      expect(kafka.running).toBe(true);
    }, 180_000);
  });

test.each([
  [{ version: '2.8.0' }, "kafka: version is '2.8.0'"],
  [{ sasl: 'gssapi' as 'plain' }, "kafka: sasl is 'gssapi'; allowed: plain"],
  [{ tls: 'yes' as 'mutual' }, "kafka: tls is 'yes'"],
  [{ nodes: 2 as 3 }, "kafka: nodes is '2'; allowed: 1, 3"],
  [{ nodes: 3 as const, tls: true }, 'kafka: three nodes are offered without sasl and tls'],
  [{ acl: true }, 'kafka: acl needs sasl'],
  [{ fullSpeed: 'yes' as unknown as boolean }, "kafka: fullSpeed is 'yes'; allowed: true, false"],
])('wrong options: %o', async (options, message) => {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
  await expect(requireBroker('kafka', { ...options, env, from: 'process' })).rejects.toThrow(message);
});
