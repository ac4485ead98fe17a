import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisBroker, startBroker } from '../src/index.ts';
import { ask } from '../src/resp.ts';
import { isAlive, ownRedis, pidOf, withRedis } from './redis-server.ts';

/** One command through a URL, as a user's client would. */
function through(url: string, ...words: string[]): ReturnType<typeof ask> {
  const { hostname, port, password, username } = new URL(url);
  const user = username === '' ? null : username;
  return ask({ host: hostname, port: Number(port), username: user, password, tls: null }, words, 500);
}

await withRedis(() => {
  let redis: RedisBroker;
  beforeAll(async () => {
    redis = await ownRedis();
  });
  afterAll(() => redis[Symbol.asyncDispose]());

  test('it is private, on loopback, and says what it is', async () => {
    expect(redis).toMatchObject({ name: 'redis', how: 'process', kind: 'real', tried: [], running: true });
    expect(redis.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(redis.url).toMatch(/^redis:\/\/:[0-9a-f]{48}@127\.0\.0\.1:\d+\/0$/);
    expect(Object.values(redis.can).every((able) => able === true)).toBe(true);
    await expect(through(redis.url.replace(/:[0-9a-f]{48}@/, ':wrong@'), 'PING')).rejects.toThrow(/WRONGPASS/);
    expect(String(await redis.command('CONFIG', 'GET', 'bind'))).toContain('127.0.0.1');
    expect(await readFile(`/proc/${await pidOf(redis)}/cmdline`, 'utf8')).not.toContain(new URL(redis.url).password);
    expect((await redis.log()).join('\n')).toContain('Ready to accept connections');
  });

  test('kill leaves no process and no port; restart has the same data, port and URL', async () => {
    await redis.command('SET', 'kept', 'yes');
    const [url, pid] = [redis.url, await pidOf(redis)];
    await redis.kill();
    await redis.kill();
    expect([isAlive(pid), redis.running]).toEqual([false, false]);
    await expect(redis.command('PING')).rejects.toThrow(/ECONNREFUSED/);
    await redis.restart();
    expect(String(await redis.command('GET', 'kept'))).toBe('yes');
    expect([redis.url, redis.running]).toEqual([url, true]);
    expect(await pidOf(redis)).not.toBe(pid);
  });

  test('restart in one step, by kill and in order', async () => {
    for (const how of ['kill', 'stop'] as const) {
      await redis.command('SET', 'how', how);
      await redis.restart({ how });
      expect(String(await redis.command('GET', 'how'))).toBe(how);
    }
  });

  test('stop is orderly, and idempotent', async () => {
    await redis.stop();
    await redis.stop();
    expect((await redis.log()).join('\n')).toContain('ready to exit, bye bye');
    await redis.restart();
  });

  test('pause: no answer, but the connection stands; unpause: all of it', async () => {
    await redis.pause();
    await redis.pause();
    await expect(through(redis.url, 'SET', 'paused', 'yes')).rejects.toThrow(/no answer within 500 ms/);
    await redis.unpause();
    await redis.unpause();
    expect(String(await redis.command('PING'))).toBe('PONG');
    await redis.pause();
    await redis.restart(); // a stopped process can be ended, too
    await redis.pause();
    await redis.kill();
    await redis.restart();
  });

  test('calls at the same time run one after the other', async () => {
    await Promise.all([redis.kill(), redis.restart(), redis.pause(), redis.unpause(), redis.restart({ how: 'kill' })]);
    expect(String(await redis.command('PING'))).toBe('PONG');
  });

  test('reset deletes everything', async () => {
    await redis.command('SET', 'a', 'b');
    await redis.reset();
    expect(await redis.command('DBSIZE')).toBe(0);
  });

  test('a proxy of its own, which survives a restart', async () => {
    const proxy = await redis.proxy();
    const other = await redis.proxy();
    expect(proxy.url).toBe(redis.url.replace(/:\d+\/0$/, `:${proxy.port}/0`));
    expect(await through(proxy.url, 'INCR', 'counter')).toBe(1);
    proxy.stall();
    await expect(through(proxy.url, 'INCR', 'counter')).rejects.toThrow(/no answer/);
    expect(await through(other.url, 'PING')).toBe('PONG');
    proxy.heal();
    proxy.refuse();
    await expect(through(proxy.url, 'PING')).rejects.toThrow(/ECONNRESET/);
    proxy.heal();
    await redis.restart({ how: 'kill' });
    expect(await through(proxy.url, 'PING')).toBe('PONG');
  });

  test('a lost answer: the server did it; a lost request: it did not', async () => {
    const proxy = await redis.proxy();
    for (const [what, counted] of [
      ['answer', '1'],
      ['request', '1'],
    ] as const) {
      const lost = proxy.lose(what, (bytes) => bytes.includes('INCR'));
      await expect(through(proxy.url, 'INCR', 'lost')).rejects.toThrow(/ECONNRESET/);
      await lost;
      await expect.poll(async () => String(await redis.command('GET', 'lost'))).toBe(counted);
    }
  });

  test('users outlive a restart', async () => {
    const url = await redis.acl('reader', 'secret', '~*', '+@read', '+ping');
    expect(url).toContain('//reader:secret@');
    await redis.restart({ how: 'kill' });
    expect(await through(url, 'PING')).toBe('PONG');
    await expect(through(url, 'SET', 'a', 'b')).rejects.toThrow(/NOPERM/);
  });

  test('two at once share nothing; nothing of one is left when it is disposed of', async () => {
    const second = await ownRedis({ fsync: 'off' });
    expect(second.url).not.toBe(redis.url);
    const folder = String(((await second.command('CONFIG', 'GET', 'dir')) as Buffer[])[1]);
    expect(existsSync(folder)).toBe(true);
    const [pid, proxy] = [await pidOf(second), await second.proxy()];
    await second[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    expect([isAlive(pid), existsSync(folder), second.running]).toEqual([false, false, false]);
    await expect(second.restart()).rejects.toThrow(/disposed/);
    await expect(through(proxy.url, 'PING')).rejects.toThrow(/ECONNREFUSED/);
  });

  test('a restart that can not be: the port is taken, and the log says so', async () => {
    const second = await ownRedis({ deadline: 5_000 });
    const { port } = new URL(second.url);
    await second.kill();
    const third = await ownRedis({ port: Number(port) });
    await expect(second.restart()).rejects.toThrow(/could not restart: it ended[^]*Address already in use/);
    await third[Symbol.asyncDispose]();
    await second.restart();
    await second[Symbol.asyncDispose]();
  });

  test.each([true, 'mutual'] as const)('TLS: %s', async (tls) => {
    const secure = await ownRedis({ tls });
    expect(secure.url).toMatch(/^rediss:/);
    expect(String(await secure.command('PING'))).toBe('PONG');
    expect(existsSync(secure.tls?.ca ?? '')).toBe(true);
    const { hostname, port, password } = new URL(secure.url);
    const at = { host: hostname, port: Number(port), username: null, password };
    await expect(ask({ ...at, tls: null }, ['PING'], 500)).rejects.toThrow();
    const bare = ask({ ...at, tls: { ca: await readFile(secure.tls?.ca ?? '') } }, ['PING'], 2_000);
    if (tls === true) expect(await bare).toBe('PONG');
    else await expect(bare).rejects.toThrow();
    await secure[Symbol.asyncDispose]();
  });

  test('at an address: it is used, and nothing is broken or deleted there', async () => {
    const env = { WAYBILL_REDIS_URL: redis.url };
    const answer = await startBroker('redis', { env });
    if (!('command' in answer)) throw new Error('not run');
    expect(answer).toMatchObject({ how: 'address', url: redis.url, version: redis.version });
    for (const what of ['kill', 'stop', 'pause', 'unpause', 'restart', 'reset'] as const)
      await expect(answer[what]()).rejects.toThrow('at a given address');
    await expect(answer.acl('a', 'b')).rejects.toThrow('at a given address');
    expect(answer.can).toMatchObject({ kill: expect.stringContaining('address') as string, proxy: true });
    const proxy = await answer.proxy();
    expect(await through(proxy.url, 'PING')).toBe('PONG');
    await answer[Symbol.asyncDispose]();
    expect(String(await redis.command('PING'))).toBe('PONG');
  });

  test('an address with the wrong password is an error, without the password', async () => {
    const env = { WAYBILL_REDIS_URL: redis.url.replace(/:[0-9a-f]{48}@/, ':hunter2hunter2@') };
    const error = await startBroker('redis', { env }).catch((thrown: unknown) => thrown);
    expect(String(error)).toMatch(/TestbedError: the redis at WAYBILL_REDIS_URL does not answer: WRONGPASS/);
    expect(String(error)).not.toContain('hunter2');
  });

  test('a folder of the caller stays', async () => {
    const folder = `${process.env['TMPDIR'] ?? '/tmp'}/wb-kept-${process.pid}`;
    const first = await ownRedis({ folder });
    await first.command('SET', 'a', 'kept');
    await first.stop();
    await first[Symbol.asyncDispose]();
    const second = await ownRedis({ folder });
    expect(String(await second.command('GET', 'a'))).toBe('kept');
    await second[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  test('a connection that is open when it is killed hears of it', async () => {
    const { hostname, port } = new URL(redis.url);
    const socket = connect(Number(port), hostname);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    await redis.kill();
    await closed;
    await redis.restart();
  });
});
