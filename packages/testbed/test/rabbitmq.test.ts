import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { requireBroker } from '../src/index.ts';
import { childrenOf, commandOf, startForgetful } from './forgetful-program.ts';
import { withBroker } from './own-broker.ts';

/** Programs whose command line has this word. */
function programsWith(word: string): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (words.some((one) => one.includes(word))) found.push(words[0]?.split('/').at(-1) ?? '');
    } catch {} // it has just ended
  return found.toSorted();
}

const message = { properties: { delivery_mode: 2 }, routing_key: 'kept', payload: 'hello', payload_encoding: 'string' };
const take = { count: 10, ackmode: 'ack_requeue_false', encoding: 'auto' };

await withBroker('rabbitmq', {}, (rabbitmq) => {
  /** What the management plugin publishes and gets is not confirmed by the client under test, and is seen at once. */
  const publish = (): Promise<unknown> => rabbitmq.api('POST', '/api/exchanges/%2F/amq.default/publish', message);
  const received = async (): Promise<string[]> => {
    const messages = await rabbitmq.api('POST', '/api/queues/%2F/kept/get', take);
    return (messages as { payload: string }[]).map(({ payload }) => payload);
  };

  test('it is private, on loopback, and says what it is', () => {
    expect(rabbitmq).toMatchObject({ name: 'rabbitmq', how: 'process', kind: 'real', running: true, tls: null });
    expect(rabbitmq.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(rabbitmq.url).toMatch(/^amqp:\/\/waybill:[0-9a-f]{48}@127\.0\.0\.1:\d+$/);
    expect(Object.values(rabbitmq.can).every((able) => able === true)).toBe(true);
    expect(programsWith(new URL(rabbitmq.url).password)).toEqual([]);
  });

  test('at its address: nothing of it can be broken, and a proxy leads there', async () => {
    await using given = await requireBroker('rabbitmq', {
      env: { WAYBILL_RABBITMQ_URL: `${rabbitmq.url}/v?heartbeat=5` },
    });
    expect(given).toMatchObject({ how: 'address', kind: 'real', version: rabbitmq.version });
    expect((await given.proxy()).url).toMatch(/^amqp:\/\/waybill:[0-9a-f]{48}@127\.0\.0\.1:\d+\/v\?heartbeat=5$/);
    await expect(given.kill()).rejects.toThrow(/given address/);
    await expect(given.api('GET', '/api/queues')).rejects.toThrow(/given address/);
  });

  test('kill leaves no process of the node; restart has the same data, port and URL', async () => {
    await rabbitmq.api('PUT', '/api/queues/%2F/kept', { durable: true, arguments: {} });
    await publish();
    await rabbitmq.evaluate('mnesia sync_log []'); // a queue declared just before kill -9 may be lost
    const { url } = rabbitmq;
    const folder = (await rabbitmq.evaluate('rabbit_mnesia dir []')).replaceAll('"', '').replace(/\/data\/.*/, '');
    expect(programsWith(folder)).toContain('beam.smp');
    await rabbitmq.kill();
    expect(programsWith(folder).filter((name) => name.startsWith('beam'))).toEqual([]);
    await rabbitmq.restart();
    expect(await received()).toEqual(['hello']);
    expect(rabbitmq.url).toBe(url);
  });

  test('paused it answers nothing; then it goes on', async () => {
    await rabbitmq.pause();
    const port = new URL(rabbitmq.url).port;
    const { greetAmqp } = await import('../src/amqp-greeting.ts');
    const place = { host: '127.0.0.1', port: Number(port) };
    await expect(greetAmqp(place, 300, null)).rejects.toThrow(/no answer within 300 ms/);
    await rabbitmq.unpause();
    expect(await greetAmqp(place, 5_000, null)).toBe(rabbitmq.version);
  });

  test.each(['memory', 'disk'] as const)('an alarm: %s', async (kind) => {
    await rabbitmq.alarm(kind, true);
    expect(await rabbitmq.evaluate('rabbit_alarm get_alarms []')).toContain(kind);
    await rabbitmq.alarm(kind, false);
    expect(await rabbitmq.evaluate('rabbit_alarm get_alarms []')).toBe('[]');
  });

  test('users with rights, and virtual hosts', async () => {
    expect(await rabbitmq.user('reader', 'p w', { read: '^kept$', write: '^$', configure: '^$' })).toContain(
      'amqp://reader:p%20w@127.0.0.1',
    );
    expect(await rabbitmq.vhost('apart')).toMatch(/@127\.0\.0\.1:\d+\/apart$/);
    expect(await rabbitmq.api('GET', '/api/permissions/%2F/reader')).toMatchObject({ read: '^kept$', write: '^$' });
    await expect(rabbitmq.api('GET', '/api/queues/%2F/absent')).rejects.toThrow(/HTTP 404/);
  });

  test('reset leaves no queue and no virtual host but the first; rights stay', async () => {
    await rabbitmq.api('PUT', '/api/queues/apart/gone', { durable: true, arguments: {} });
    await rabbitmq.reset();
    expect(await rabbitmq.api('GET', '/api/queues')).toEqual([]);
    expect(await rabbitmq.api('GET', '/api/vhosts')).toMatchObject([{ name: '/' }]);
    expect(await rabbitmq.api('GET', '/api/permissions/%2F/reader')).toMatchObject({ read: '^kept$' });
  });

  test('kill -9 leaves nothing of a broker that is several processes', async () => {
    const { program } = await startForgetful(['--rabbitmq']);
    const { pids, folder } = childrenOf(program.pid ?? 0);
    const commands = pids.map(commandOf).join('\n');
    expect(commands).toMatch(/beam/);
    expect(commands).toMatch(/epmd/);
    program.kill('SIGKILL');
    const left = (): unknown[] => [pids.filter((pid) => commandOf(pid) !== ''), existsSync(folder)];
    await expect.poll(left, { timeout: 10_000, interval: 50 }).toEqual([[], false]);
  }, 90_000);

  test('a second one with TLS at the same time, and nothing of it afterwards', async () => {
    const other = await requireBroker('rabbitmq', { from: 'process', tls: true });
    const folder = other.tls?.ca.replace('/ca.crt', '') ?? '';
    expect(other.url).toMatch(/^amqps:/);
    expect(await other.api('GET', '/api/queues')).toEqual([]);
    expect(other.version).toBe(rabbitmq.version);
    await other[Symbol.asyncDispose]();
    expect(programsWith(folder)).toEqual([]);
  });
});

if (process.env['WAYBILL_SUITE'] === 'full')
  await withBroker('rabbitmq', { version: '4.0', tls: 'mutual' }, (rabbitmq) => {
    test('4.0, of another Debian: kill, restart, alarm; no mount is left', async () => {
      expect(rabbitmq.version).toMatch(/^4\.0\./);
      await rabbitmq.api('PUT', '/api/queues/%2F/kept', { durable: true, arguments: {} });
      await rabbitmq.alarm('memory', true);
      await rabbitmq.restart({ how: 'kill' });
      expect(await rabbitmq.evaluate('rabbit_alarm get_alarms []')).toBe('[]');
      expect(await rabbitmq.api('GET', '/api/queues')).toMatchObject([{ name: 'kept' }]);
      expect(readFileSync('/proc/mounts', 'utf8')).not.toContain('trixie');
    });
  });

test('wrong options', async () => {
  const options = { tls: 'yes' as 'mutual', from: 'process' as const };
  await expect(requireBroker('rabbitmq', options)).rejects.toThrow(
    "rabbitmq: tls is 'yes'; allowed: true, false, 'mutual'",
  );
});
