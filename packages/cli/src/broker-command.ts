import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BROKER_NAMES,
  type BrokerName,
  type BrokerRecord,
  describeNotRun,
  endRecorded,
  installBroker,
  isNotRun,
  logOf,
  record,
  records,
  recordsFolder,
  type RunningBroker,
  startBroker,
  TestbedError,
  variable,
  type Way,
  WAYS,
} from '@waybill/testbed';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { escapeLines, escapeText } from './escape-text.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';

interface BrokerStartOptions {
  readonly detach?: boolean;
  readonly from?: Way;
  readonly port?: number;
  readonly data?: string;
}

/** How long a detached broker may take to get ready, an image that is fetched included. */
const patience = 300_000;

/** `waybill broker …`: real brokers for local development. */
export function describeBroker(program: Command, io: Io, execute: (command: Promise<ExitCode>) => Promise<void>): void {
  const broker = program
    .command('broker')
    .description('Starts a real broker for local development: in a container, else as a process.');

  broker
    .command('start')
    .description('Starts a broker of your own on loopback and prints its URL. Ctrl-C ends it and deletes its data.')
    .addArgument(named())
    .option('--detach', 'leave it running in the background, until `waybill broker stop`')
    .addOption(new Option('--from <way>', 'the only way to try').choices(WAYS.filter((way) => way !== 'address')))
    .option('--port <n>', 'its port (default: a free one)', port)
    .option('--data <folder>', 'where a process keeps its data; it stays there')
    .addHelpText(
      'after',
      `
Examples:
  waybill broker start redis
  WAYBILL_URL=$(waybill broker start redis --detach) npm start
  waybill broker start redis --port 6379 --data ./redis-data`,
    )
    .action((name: BrokerName, options: BrokerStartOptions) => execute(startCommand(name, options, io)));
  broker
    .command('stop')
    .description('Ends brokers of this kind that `waybill broker start` has started, and deletes their data.')
    .addArgument(named())
    .action((name: BrokerName) => execute(stopCommand(name, io)));
  broker
    .command('list')
    .description('Lists the brokers that `waybill broker start` has started, with their URLs.')
    .action(() => execute(listCommand(io)));
  broker
    .command('install')
    .description(
      'Installs what a broker needs, unless it is there: Debian packages (as root), jars by mvn. Starts no service.',
    )
    .addArgument(named())
    .action((name: BrokerName) => execute(installCommand(name, io)));
}

function named(): Argument {
  return new Argument('<name>', 'which broker').choices(BROKER_NAMES);
}

async function startCommand(name: BrokerName, options: BrokerStartOptions, io: Io): Promise<ExitCode> {
  if (options.detach === true) return startDetached(name, options, io);
  const signal = signalled();
  const { from, data } = options;
  const answer = await startBroker(name, {
    env: ownOnly(name, io.env),
    ...(from !== undefined && { from }),
    ...(options.port !== undefined && { port: options.port }),
    ...(data !== undefined && { folder: resolve(io.cwd, data) }),
  });
  if (isNotRun(answer)) {
    io.stderr(`waybill: ${escapeText(describeNotRun(answer), 2_000)}\n`);
    return 3;
  }
  await using broker: RunningBroker = answer;
  const remove = await record(broker, io.env);
  try {
    for (const { way, reason } of broker.tried)
      if (way !== 'address') io.stderr(`not by ${way}: ${escapeText(reason)}\n`);
    io.stderr(`${name} ${escapeText(broker.version)} runs (${broker.how}). Ctrl-C ends it.\n`);
    io.stdout(`${broker.url}\n`);
    while (!signal.received) {
      await Promise.race([signal.wait, sleep(500)]); // which also keeps this process alive
      if (broker.running) continue;
      io.stderr(`${name} has ended by itself:\n${escapeLines((await broker.log(20)).join('\n'))}\n`);
      return 1;
    }
    return 0;
  } finally {
    signal.forget();
    await remove();
  }
}

/** A broker of one's own is wanted, wherever tests find theirs. */
function ownOnly(name: BrokerName, env: Io['env']): Io['env'] {
  const from = env['WAYBILL_BROKER_FROM'];
  return { ...env, [variable(name, 'URL')]: undefined, WAYBILL_BROKER_FROM: from === 'address' ? undefined : from };
}

/** The same command in a process of its own, which holds the broker, its watchdog and its record. */
async function startDetached(name: BrokerName, options: BrokerStartOptions, io: Io): Promise<ExitCode> {
  const { from, data } = options;
  const words = ['broker', 'start', name];
  if (from !== undefined) words.push('--from', from);
  if (options.port !== undefined) words.push('--port', String(options.port));
  if (data !== undefined) words.push('--data', resolve(io.cwd, data));
  const folder = await recordsFolder(io.env);
  const starting = join(folder, `${name}-starting-${process.pid}.log`);
  const file = openSync(starting, 'w', 0o600);
  const program = process.argv[1] ?? '';
  const holder = spawn(process.execPath, [...process.execArgv, program, ...words], {
    detached: true,
    stdio: ['ignore', file, file],
    cwd: io.cwd,
    env: { ...io.env },
  });
  closeSync(file);
  const log = join(folder, logOf({ broker: name, pid: holder.pid ?? 0 }));
  renameSync(starting, log);
  const ended = new Promise<true>((done) => holder.once('exit', () => done(true)).once('error', () => done(true)));
  for (const end = performance.now() + patience; performance.now() < end;) {
    const found = (await records(io.env)).find(({ pid }) => pid === holder.pid);
    if (found !== undefined) {
      io.stderr(`${name} ${escapeText(found.version)} runs (${found.how}). waybill broker stop ${name} ends it.\n`);
      io.stdout(`${found.url}\n`);
      holder.unref();
      return 0;
    }
    if (await Promise.race([ended, sleep(100, false)])) break;
  }
  holder.kill('SIGKILL'); // its watchdog ends what it may have started
  io.stderr(`waybill: ${name} did not start:\n${escapeLines(readFileSync(log, 'utf8').trim())}\n`);
  return 3;
}

async function stopCommand(name: BrokerName, io: Io): Promise<ExitCode> {
  const found = (await records(io.env)).filter(({ broker }) => broker === name);
  await Promise.all(found.map((one) => endRecorded(one, io.env)));
  io.stderr(found.length === 0 ? `no ${name} is running\n` : '');
  for (const one of found) io.stdout(`${describe(one)} has ended\n`);
  return 0;
}

async function listCommand(io: Io): Promise<ExitCode> {
  const found = await records(io.env);
  if (found.length === 0) io.stderr('no broker is running\n');
  for (const one of found) io.stdout(`${describe(one)} since ${escapeText(one.since)}: ${escapeText(one.url)}\n`);
  return 0;
}

async function installCommand(name: BrokerName, io: Io): Promise<ExitCode> {
  try {
    io.stdout(`${await installBroker(name, io.env)}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof TestbedError)) throw error;
    io.stderr(`waybill: ${escapeText(error.message, 2_000)}\n`);
    return 3;
  }
}

function describe({ broker, version, how, pid }: BrokerRecord): string {
  return `${escapeText(broker)} ${escapeText(version)} (${escapeText(how)}, held by process ${pid})`;
}

function port(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 65_535) return value;
  throw new InvalidArgumentError('Allowed: a whole number from 1 to 65535.');
}

/** Ctrl-C, and what ends programs otherwise. */
function signalled(): { readonly received: boolean; readonly wait: Promise<void>; forget(): void } {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let received = false;
  let wake!: () => void;
  const wait = new Promise<void>((done) => (wake = done));
  const stop = (): void => {
    received = true;
    wake();
  };
  for (const signal of signals) process.on(signal, stop);
  return {
    get received() {
      return received;
    },
    wait,
    forget: () => signals.forEach((signal) => process.off(signal, stop)),
  };
}
