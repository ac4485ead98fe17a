import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import {
  describeNotRun,
  isNotRun,
  isRequired,
  type NotRun,
  startBroker,
  type StartOptions,
  variable,
} from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'wb-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A program for a PATH of its own. */
function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

const nothing = { PATH: '', DOCKER_HOST: `unix://${folder}/no.sock` };

async function absent(options: StartOptions): Promise<NotRun> {
  const answer = await startBroker('redis', options);
  if (!isNotRun(answer)) throw new Error('there is one');
  return answer;
}

test('no way at all: every one with its reason, and the remedy', async () => {
  const answer = await absent({ env: nothing });
  expect(answer.tried.map(({ way }) => way)).toEqual(['address', 'container', 'process']);
  expect(describeNotRun(answer)).toMatch(
    /no redis: WAYBILL_REDIS_URL is not set; no container engine answers at unix:.*ENOENT.*; there is no redis-server on the PATH; set WAYBILL_REDIS_URL .*; or start a container engine; or set WAYBILL_INSTALL=1 .*apt-get install .*redis-server/,
  );
});

test('a broker in Java: what is missing, and that it would be fetched', async () => {
  const answer = await startBroker('kafka', { from: 'process', env: { ...nothing, HOME: folder } });
  expect(isNotRun(answer) && describeNotRun(answer)).toBe(
    'no kafka: there is no java on the PATH and no mvn on the PATH; set WAYBILL_INSTALL=1 to have ' +
      'default-jre-headless, maven installed (as root) and kafka-4.4.0 fetched by mvn, or type: waybill broker install kafka',
  );
});

test.each([
  ['address', /^WAYBILL_REDIS_URL is not set$/, /^set WAYBILL_REDIS_URL/],
  ['container', /^no container engine answers/, /^start a container engine$/],
  ['process', /^there is no redis-server on the PATH$/, /^set WAYBILL_INSTALL=1/],
] as const)('only %s, by option or by WAYBILL_BROKER_FROM', async (from, reason, remedy) => {
  for (const answer of [
    await absent({ env: nothing, from }),
    await absent({ env: { ...nothing, WAYBILL_BROKER_FROM: from } }),
  ]) {
    expect(answer.tried).toEqual([{ way: from, reason: answer.reason }]);
    expect(answer.reason).toMatch(reason);
    expect(answer.remedy).toMatch(remedy);
  }
});

test.each([
  [{ env: { WAYBILL_BROKER_FROM: 'cloud' } }, "WAYBILL_BROKER_FROM is 'cloud'; allowed: address, container, process"],
  [{ env: {}, from: 'cloud' as 'address' }, "from is 'cloud'; allowed"],
  [{ env: nothing, from: 'process' as const, fsync: 'sometimes' as 'no' }, 'fsync'],
])('wrong options: %o', async (options, message) => {
  const at = { ...options, env: { ...options.env, WAYBILL_REDIS_PROGRAM: '/bin/true' } };
  await expect(startBroker('redis', at)).rejects.toThrow(message);
});

test('a broker that the testbed does not know', async () => {
  await expect(startBroker('ibm-mq' as 'redis')).rejects.toThrow(
    "no broker 'ibm-mq'; allowed: redis, kafka, rabbitmq, sqs",
  );
});

test.each([
  ['nobody there', 'redis://:hunter2hunter2@127.0.0.1:1/0', 'ECONNREFUSED'],
  ['no address', 'redis://:hunter2hunter2@', 'broker URL redis://'],
  ['another scheme', 'http://u:hunter2hunter2@127.0.0.1', 'must be redis:// or rediss://'],
  ['several hosts', 'redis://:hunter2hunter2@a,b', 'one host'],
])('an address that is wrong is an error: %s', async (_, url, message) => {
  const error = await startBroker('redis', { env: { WAYBILL_REDIS_URL: url } }).catch((thrown: unknown) => thrown);
  expect(String(error)).toContain(message);
  expect(String(error)).toContain('TestbedError');
  expect(String(error)).not.toContain('hunter2');
});

test.each([
  ['kafka', 'kafka://u:hunter2hunter2@127.0.0.1:1', 'ECONNREFUSED'],
  ['kafka', 'amqp://u:hunter2hunter2@h', 'must be kafka:// or kafkas://'],
  ['rabbitmq', 'amqp://u:hunter2hunter2@127.0.0.1:1', 'ECONNREFUSED'],
  ['rabbitmq', 'amqp://u:hunter2hunter2@a,b', 'one host'],
  ['sqs', 'sqs+http://u:hunter2hunter2@127.0.0.1:1', 'ECONNREFUSED'],
  ['sqs-fifo', 'sqs+http://u:hunter2hunter2@h', 'must be sqs-fifo://region'],
] as const)('the same for %s: %s', async (name, url, message) => {
  const error = await startBroker(name, { env: { [variable(name, 'URL')]: url } }).catch((thrown: unknown) => thrown);
  expect(String(error)).toContain(message);
  expect(String(error)).toContain('TestbedError');
  expect(String(error)).not.toContain('hunter2');
});

test('an address behind which something else answers', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).end('SSH-2.0-OpenSSH\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const env = { WAYBILL_REDIS_URL: `redis://127.0.0.1:${port}` };
  await expect(startBroker('redis', { env })).rejects.toThrow('the answer is not that of a Redis server');
  server.close();
});

test('an address offers no choice: who wants one gets another way', async () => {
  const answer = await absent({ env: { ...nothing, WAYBILL_REDIS_URL: 'redis://127.0.0.1:1' }, port: 7_000 });
  expect(answer.reason).toMatch(/^at an address \(WAYBILL_REDIS_URL\) there is no choice of port; /);
});

test('an engine that answers, and has no image: on to the next way, with the reason', async () => {
  const path = join(folder, 'd.sock');
  const engine = createHttpServer((request, response) => {
    if (request.url?.endsWith('/_ping') === true) response.end('OK');
    else response.writeHead(500).end(JSON.stringify({ message: 'network is unreachable' }));
  }).listen(path);
  vi.stubEnv('DOCKER_HOST', `unix://${path}`);
  const answer = await absent({ env: { ...nothing, DOCKER_HOST: `unix://${path}` } });
  vi.unstubAllEnvs();
  engine.close();
  expect(answer.tried[1]?.reason).toMatch(/testcontainers is not installed|did not start in a container|runtime/);
  expect(answer.tried[2]?.way).toBe('process');
}, 30_000);

test('a program that ends at once: its last words', async () => {
  const program = script('ends', 'cat > /dev/null; echo "# Fatal: bad luck"; exit 3');
  const answer = await absent({ env: { ...nothing, WAYBILL_REDIS_PROGRAM: program } });
  expect(answer.tried[2]?.reason).toBe('redis did not start in a process: it ended (exit code 3) (# Fatal: bad luck)');
});

test('a program that never gets ready', async () => {
  const program = script('sleeps', 'cat > /dev/null; echo thinking; exec sleep 60');
  const answer = await absent({ env: { ...nothing, WAYBILL_REDIS_PROGRAM: program }, deadline: 500 });
  expect(answer.tried[2]?.reason).toMatch(/not ready within 500 ms: .*ECONNREFUSED.* \(thinking\)$/);
});

test('a port that another takes first: it tries others, three in all', async () => {
  const said = join(folder, 'ports');
  const program = script('taken', `grep '^port' >> ${said}; echo "bind: Address already in use"; exit 1`);
  await absent({ env: { ...nothing, WAYBILL_REDIS_PROGRAM: program } });
  const ports = readFileSync(said, 'utf8').trim().split('\n');
  expect([ports.length, new Set(ports).size]).toEqual([3, 3]);
});

test('a program that is named and not there', async () => {
  const answer = await absent({ env: { ...nothing, WAYBILL_REDIS_PROGRAM: '/nowhere/redis-server' } });
  expect(answer.tried[2]?.reason).toBe('there is no program /nowhere/redis-server');
});

test.each([
  [undefined, false],
  ['', false],
  ['kafka', false],
  ['kafka, redis', true],
  ['all', true],
])('WAYBILL_REQUIRE=%s', (text, expected) => expect(isRequired('redis', { WAYBILL_REQUIRE: text })).toBe(expected));
