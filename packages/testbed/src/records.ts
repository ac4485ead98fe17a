import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity } from './process-identity.ts';
import type { Environment } from './program.ts';
import { type RunningBroker, TestbedError } from './running-broker.ts';

/** A broker that a process holds for its user. */
export interface BrokerRecord {
  readonly broker: string;
  readonly url: string;
  readonly version: string;
  readonly how: string;
  /** Of the process that holds it: the broker ends with it. */
  readonly pid: number;
  /** Tells that process from a later one with its number. */
  readonly identity: string;
  /** ISO 8601. */
  readonly since: string;
}

const patience = 20_000;

/** Where the user's brokers are written down; only the user may read it, since URLs hold passwords. */
export async function recordsFolder(env: Environment): Promise<string> {
  const state = env['XDG_STATE_HOME'] ?? '';
  const folder = join(state === '' ? join(env['HOME'] ?? homedir(), '.local', 'state') : state, 'waybill', 'brokers');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Writes down that this process holds a broker. Resolves with what crosses it out. */
export async function record(broker: RunningBroker, env: Environment): Promise<() => Promise<void>> {
  const { name, url, version, how } = broker;
  const identity = await processIdentity(process.pid);
  if (identity === null) throw new TestbedError('this system does not tell when a process was started');
  const written: BrokerRecord = {
    broker: name,
    url,
    version,
    how,
    pid: process.pid,
    identity,
    since: new Date().toISOString(),
  };
  const path = join(await recordsFolder(env), fileOf(written));
  await writeFile(`${path}.new`, `${JSON.stringify(written, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return () => rm(path, { force: true });
}

/** Those whose process still lives. Records of others are removed. */
export async function records(env: Environment): Promise<readonly BrokerRecord[]> {
  const folder = await recordsFolder(env);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const found = await Promise.all(names.toSorted().map((name) => readRecord(join(folder, name))));
  return found.filter((one) => one !== null);
}

/** Ends the process that holds it, and so the broker. Never another process that has got its number since. */
export async function endRecorded(one: BrokerRecord, env: Environment): Promise<void> {
  const lives = async (): Promise<boolean> => (await processIdentity(one.pid)) === one.identity;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (await lives()) process.kill(one.pid, signal);
    for (const end = performance.now() + patience; performance.now() < end && (await lives());) await sleep(50);
  }
  if (await lives()) throw new TestbedError(`process ${one.pid} does not end`);
  await forget(await recordsFolder(env), one);
}

async function readRecord(path: string): Promise<BrokerRecord | null> {
  let read: BrokerRecord;
  try {
    read = JSON.parse(await readFile(path, 'utf8')) as BrokerRecord;
  } catch {
    return null; // it has just been crossed out, or it is none of ours
  }
  if (Number.isSafeInteger(read.pid) && (await processIdentity(read.pid)) === read.identity) return read;
  await forget(dirname(path), read);
  return null;
}

/** What a detached process has printed; beside its record, and removed with it. */
export function logOf({ broker, pid }: Pick<BrokerRecord, 'broker' | 'pid'>): string {
  return `${broker}-${pid}.log`;
}

async function forget(folder: string, one: BrokerRecord): Promise<void> {
  for (const name of [fileOf(one), logOf(one)]) await rm(join(folder, basename(name)), { force: true });
}

function fileOf({ broker, pid }: Pick<BrokerRecord, 'broker' | 'pid'>): string {
  return `${broker}-${pid}.json`;
}
