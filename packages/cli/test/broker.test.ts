import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describeNotRun, isNotRun, isRequired, startBroker } from '@waybill/testbed';
import { afterAll, expect, test } from 'vitest';
import { run } from '../src/program.ts';

const state = mkdtempSync(join(tmpdir(), 'wb-cli-'));
afterAll(() => rmSync(state, { recursive: true }));
const env = { ...process.env, XDG_STATE_HOME: state, WAYBILL_BROKER_FROM: 'process', NO_COLOR: '1' };
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

type Program = ChildProcessByStdio<null, Readable, Readable>;

function waybill(...args: string[]): Program {
  const options = ['--conditions=waybill-source', '--import', tsx, main];
  return spawn(process.execPath, [...options, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function ended(program: Program): Promise<Ended> {
  const [out, err] = await Promise.all([text(program.stdout), text(program.stderr)]);
  return { code: program.exitCode ?? ((await once(program, 'exit')) as [number])[0], out, err };
}

function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });
}

const redis = await startBroker('redis', { from: 'process' });
if (isNotRun(redis)) {
  const reason = describeNotRun(redis);
  if (isRequired('redis'))
    test('a redis-server, as WAYBILL_REQUIRE wants', () => {
      throw new Error(reason);
    });
  else test.skip(`not-run: ${reason}`, () => undefined);
} else {
  await redis[Symbol.asyncDispose]();

  test('start prints the URL, is in the list, and ends at Ctrl-C', async () => {
    const program = waybill('broker', 'start', 'redis');
    const [bytes] = (await once(program.stdout, 'data')) as [Buffer];
    const url = bytes.toString().trim();
    expect(url).toMatch(/^redis:\/\/:[0-9a-f]+@127\.0\.0\.1:\d+\/0$/);
    expect(await answers(url)).toBe(true);
    const listed = await inProcess(['list']);
    expect(listed).toMatchObject({ code: 0, err: '' });
    expect(listed.out).toMatch(
      new RegExp(`^redis 7\\S* \\(process, held by process ${program.pid}\\) since .*Z: redis://`),
    );
    program.kill('SIGINT');
    expect(await ended(program)).toMatchObject({ code: 0, err: expect.stringContaining('Ctrl-C ends it') as string });
    expect(await answers(url)).toBe(false);
    expect((await inProcess(['list'])).err).toBe('no broker is running\n');
  }, 60_000);

  test('detached: it stays until it is stopped', async () => {
    const started = await ended(waybill('broker', 'start', 'redis', '--detach'));
    expect(started).toMatchObject({ code: 0, out: expect.stringMatching(/^redis:\/\/\S+\n$/) as string });
    const url = started.out.trim();
    expect(await answers(url)).toBe(true);
    const stopped = await inProcess(['stop', 'redis']);
    expect(stopped).toMatchObject({ code: 0, out: expect.stringMatching(/^redis .* has ended\n$/) as string });
    expect(await answers(url)).toBe(false);
    expect((await inProcess(['stop', 'redis'])).err).toBe('no redis is running\n');
  }, 60_000);
}

async function inProcess(args: string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> {
  let [out, err] = ['', ''];
  const io = {
    env: { ...env, ...more },
    cwd: state,
    stdout: (said: string) => void (out += said),
    stderr: (said: string) => void (err += said),
    isTerminal: false,
    now: () => new Date(0),
  };
  return { code: await run(['broker', ...args], io), out, err };
}

test('no broker to be had: exit 3, why, and what to do', async () => {
  const { code, out, err } = await inProcess(['start', 'redis'], { PATH: '', WAYBILL_INSTALL: '' });
  expect([code, out]).toEqual([3, '']);
  expect(err).toMatch(/no redis: there is no redis-server on the PATH; .*apt-get install/);
});

test('install says why not: exit 3', async () => {
  expect(await inProcess(['install', 'redis'], { PATH: '' })).toMatchObject({
    code: 3,
    err: expect.stringMatching(/no apt-get/) as string,
  });
});

test.each([
  [['start', 'ibm-mq'], 'Allowed choices are redis'],
  [['start'], "missing required argument 'name'"],
  [['start', 'redis', '--port', '0'], 'a whole number from 1 to 65535'],
  [['start', 'redis', '--from', 'address'], 'Allowed choices are container, process'],
])('wrong usage: %o', async (args, message) => {
  const { code, err } = await inProcess(args);
  expect([code, err]).toEqual([2, expect.stringContaining(message)]);
});
