import { afterAll, beforeAll, expect, test } from 'vitest';
import { greetAmqp } from '../src/amqp-greeting.ts';
import { describeNotRun, isNotRun, type RedisBroker, requireBroker, startBroker } from '../src/index.ts';
import { probeKafka } from '../src/kafka-admin.ts';
import { loadTestcontainers } from '../src/testcontainers.ts';

/** Also proves that the shape in `testcontainers.ts` is that of the package. */
interface Listing {
  getContainerRuntimeClient(): Promise<{
    readonly container: {
      list(): Promise<readonly { readonly Ports: readonly { readonly IP?: string; readonly PublicPort?: number }[] }[]>;
    };
  }>;
}

/** What the engine maps to this port of the host. */
async function bindings(port: number): Promise<(string | undefined)[]> {
  const library = (await loadTestcontainers()) as unknown as Listing;
  const containers = await (await library.getContainerRuntimeClient()).container.list();
  return containers.flatMap(({ Ports }) => Ports.filter(({ PublicPort }) => PublicPort === port).map(({ IP }) => IP));
}

const first = await startBroker('redis', { from: 'container' });

if (isNotRun(first)) {
  const text = describeNotRun(first);
  // Where an engine was made for this, its absence is a failure.
  if (process.env['WAYBILL_REQUIRE_CONTAINERS'] === '1')
    test('a container, as WAYBILL_REQUIRE_CONTAINERS wants', () => {
      throw new Error(text);
    });
  else test.skip(`not-run: ${text}`, () => undefined);
} else {
  let redis: RedisBroker;
  beforeAll(() => {
    redis = first;
  });
  afterAll(() => redis[Symbol.asyncDispose]());

  test('it says what it is', async () => {
    expect(redis).toMatchObject({ how: 'container', kind: 'real', running: true });
    expect(redis.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(Object.values(redis.can).every((able) => able === true)).toBe(true);
    expect((await redis.log()).join('\n')).toContain('Ready to accept connections');
    const { hostname, port } = new URL(redis.url);
    if (hostname === '127.0.0.1') expect(await bindings(Number(port))).toEqual(['127.0.0.1']);
  });

  test('kill, and restart on the same data, port and URL', async () => {
    await redis.command('SET', 'kept', 'yes');
    const { url } = redis;
    await redis.kill();
    await redis.kill();
    await expect(redis.command('PING')).rejects.toThrow();
    await redis.restart();
    expect(String(await redis.command('GET', 'kept'))).toBe('yes');
    expect(redis.url).toBe(url);
  });

  test('restart in one step, by kill and in order', async () => {
    for (const how of ['kill', 'stop'] as const) {
      await redis.command('SET', 'how', how);
      await redis.restart({ how });
      expect(String(await redis.command('GET', 'how'))).toBe(how);
    }
  });

  test('pause and unpause; what is paused can be ended', async () => {
    await redis.pause();
    await redis.pause();
    await expect(redis.command('PING')).rejects.toThrow(/no answer/);
    await redis.unpause();
    expect(String(await redis.command('PING'))).toBe('PONG');
    await redis.pause();
    await redis.kill();
    await redis.restart();
  }, 30_000);

  test('a proxy in front of it, and a user that outlives a restart', async () => {
    const proxy = await redis.proxy();
    await redis.acl('reader', 'secret', '~*', '+@read', '+ping');
    await redis.restart({ how: 'kill' });
    expect(String(await redis.command('ACL', 'WHOAMI'))).toBe('default');
    expect(String(await redis.command('ACL', 'LIST'))).toContain('reader');
    expect(proxy.url).toContain(`:${proxy.port}/`);
  });

  test('two at once; nothing of one is left when it is disposed of', async () => {
    const second = await startBroker('redis', { from: 'container' });
    if (isNotRun(second)) throw new Error(describeNotRun(second));
    const port = Number(new URL(second.url).port);
    expect(await bindings(port)).toHaveLength(1);
    await second[Symbol.asyncDispose]();
    expect(await bindings(port)).toEqual([]);
    await expect(second.restart()).rejects.toThrow(/disposed/);
  });

  test('an image that can not be had: the reason', async () => {
    const env = { ...process.env, WAYBILL_REDIS_IMAGE: 'local/no-such-image:1' };
    const answer = await startBroker('redis', { from: 'container', env });
    expect(isNotRun(answer) && answer.reason).toMatch(
      /redis did not start in a container: .*(no-such-image|HTTP code)/s,
    );
  }, 60_000);

  test.each(['kafka', 'rabbitmq', 'sqs'] as const)(
    '%s: kill, restart on the same port and URL, a proxy',
    async (name) => {
      await using broker = await requireBroker(name, { from: 'container' });
      expect(broker).toMatchObject({
        name,
        how: 'container',
        kind: name === 'sqs' ? 'emulator' : 'real',
        running: true,
      });
      expect(broker.version).toMatch(/^\d+\.\d+\.\d+$/);
      const { url } = broker;
      await broker.kill();
      await broker.restart();
      expect(broker.url).toBe(url);
      const proxy = await broker.proxy();
      await answers[name](proxy.url);
      await broker.reset();
    },
    120_000,
  );
}

/** Asks something of a broker by its URL. */
const answers = {
  kafka: async (url: string): Promise<void> => {
    const { hostname, port } = new URL(url);
    await probeKafka({ host: hostname, port: Number(port) }, 1, 5_000);
  },
  rabbitmq: async (url: string): Promise<void> => {
    const { hostname, port } = new URL(url);
    await greetAmqp({ host: hostname, port: Number(port) }, 5_000, null);
  },
  sqs: async (url: string): Promise<void> => {
    expect((await fetch(`${url.replace('sqs+', '')}/health`)).status).toBe(200);
  },
};
