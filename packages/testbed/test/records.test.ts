import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type BrokerRecord,
  endRecorded,
  logOf,
  record,
  records,
  recordsFolder,
  type RunningBroker,
} from '../src/index.ts';
import { processIdentity } from '../src/process-identity.ts';

let home: string;
let env: Record<string, string>;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'wb-test-'));
  env = { XDG_STATE_HOME: home };
});
afterEach(() => rmSync(home, { recursive: true }));

const broker = {
  name: 'redis',
  url: 'redis://:secret@127.0.0.1:1/0',
  version: '7.0.15',
  how: 'process',
} as RunningBroker;

test('a record is there until it is crossed out, for its user only', async () => {
  const remove = await record(broker, env);
  expect(await records(env)).toMatchObject([{ broker: 'redis', url: broker.url, how: 'process', pid: process.pid }]);
  const folder = await recordsFolder(env);
  const [file = ''] = readdirSync(folder);
  expect([statSync(folder).mode & 0o777, statSync(join(folder, file)).mode & 0o777]).toEqual([0o700, 0o600]);
  await remove();
  await remove();
  expect(await records(env)).toEqual([]);
});

test('of a process that has gone there is no record, whoever has its number now', async () => {
  await record(broker, env);
  const folder = await recordsFolder(env);
  const [file = ''] = readdirSync(folder);
  const path = join(folder, file);
  const mine = JSON.parse(readFileSync(path, 'utf8')) as BrokerRecord;
  const stale = { ...mine, identity: 'an earlier process' };
  writeFileSync(path, JSON.stringify(stale));
  await endRecorded(stale, env); // this process has its number, and lives on
  writeFileSync(path, JSON.stringify(stale));
  writeFileSync(join(folder, logOf(stale)), 'its log');
  writeFileSync(join(folder, 'broken.json'), '{');
  expect(await records(env)).toEqual([]);
  expect(readdirSync(folder)).toEqual(['broken.json']);
});

test('ends the process that holds it', async () => {
  const holder = spawn('sleep', ['60'], { stdio: 'ignore' });
  const exit = once(holder, 'exit');
  const pid = holder.pid ?? 0;
  const identity = (await processIdentity(pid)) ?? '';
  expect(identity).not.toBe(await processIdentity(process.pid));
  await endRecorded({ broker: 'redis', url: '', version: '', how: 'process', pid, identity, since: '' }, env);
  expect((await exit)[1]).toBe('SIGTERM');
  expect(await processIdentity(pid)).toBeNull();
});
