import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Io } from '../src/io.ts';
import { run } from '../src/program.ts';

let cwd: string;
let out: string;
let err: string;
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'waybill-doctor-'));
  [out, err] = ['', ''];
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

function io(env: Io['env'] = {}): Io {
  return {
    env,
    cwd,
    stdout: (text) => (out += text),
    stderr: (text) => (err += text),
    isTerminal: false,
    now: () => new Date(0),
  };
}

test('a memory configuration: reachable, needs listed, exit 0', async () => {
  await writeFile(
    join(cwd, 'waybill.config.yaml'),
    `brokers: { main: 'memory:' }\ntopics: { orders: { partitions: 3, groups: [a, b] } }\nsubscriptions: { orders/a: { concurrency: 64 } }\n`,
  );
  expect(await run(['doctor'], io())).toBe(0);
  expect(out).toContain('Configuration from waybill.config.yaml');
  expect(out).toMatch(/main \(memory\): ✓ reachable/);
  expect(out).toMatch(/topic 'orders' on main\n +✓ (native|emulated): order\.key/);
  expect(out).toContain("subscription 'orders/a' on main");
});

test('--json: the diagnosis and nothing else on standard output', async () => {
  expect(await run(['doctor', '--json'], io({ WAYBILL_URL: 'memory:' }))).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    config: { where: 'WAYBILL_URL' },
    brokers: [{ name: 'main', reachable: true }],
  });
});

test('a broker that does not answer: exit 3, why, and how to have one', async () => {
  expect(await run(['doctor'], io({ WAYBILL_URL: 'redis://127.0.0.1:1' }))).toBe(3);
  expect(out).toMatch(/main \(redis\): ✗ not reachable: .+\n +to have one of your own: waybill broker start redis\n/);
});

test('a refused need: exit 1 and the reason', async () => {
  const config = { brokers: { main: 'memory:' }, subscriptions: { 'orders/a': { deadLetter: 'key' } } };
  await writeFile(join(cwd, 'c.json'), JSON.stringify(config));
  expect(await run(['doctor', '--config', 'c.json'], io())).toBe(1);
  expect(out).toMatch(/✗ refused: order\.parkedKeys/);
});

test.each([
  ['no configuration at all', [], 'no configuration. Name a broker in one of three ways'],
  ['a file that is not there', ['--config', 'x.json'], 'x.json does not exist'],
  ['an unknown option', ['--confg', 'x'], "unknown option '--confg'"],
])('%s: exit 2', async (_, args, message) => {
  expect(await run(['doctor', ...args], io())).toBe(2);
  expect(err).toContain(message);
  expect(out).toBe('');
});

test('every problem of a configuration, without its secrets: exit 2', async () => {
  await writeFile(
    join(cwd, 'waybill.config.json'),
    JSON.stringify({ brokers: { main: 'redsi://u:hunter2222@h' }, topicz: 1 }),
  );
  expect(await run(['doctor'], io())).toBe(2);
  expect(err).toMatch(/2 problems/);
  expect(err + out).not.toContain('hunter2222');
});

test('wrong usage of the other commands: exit 2', async () => {
  expect(await run(['conformance', '--broker', 'nope'], io())).toBe(2);
  expect(await run(['conformance'], io())).toBe(2);
  expect(await run(['compare', '--brokers', 'memory,memory'], io())).toBe(2);
  expect(await run(['conformance', '--broker', 'memory', '--cost', 'cheap'], io())).toBe(2);
  expect(await run(['conformance', '--broker', 'memory', '--scale', '0'], io())).toBe(2);
  expect(await run(['conformance', '--broker', 'memory', '--faults', '--filter', 'P5'], io())).toBe(2);
  await writeFile(join(cwd, 'mine.txt'), '');
  expect(await run(['compare', '--out', '.'], io())).toBe(2);
  expect(err).toContain('is not empty');
});

test.each([['--help'], ['conformance --help'], ['compare --help'], ['doctor --help']])(
  '%s shows examples: exit 0',
  async (args) => {
    expect(await run(args.split(' '), io())).toBe(0);
    expect(out).toContain('Examples:');
  },
);
