import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { withBroker } from './own-broker.ts';
import { withRedis } from './redis-server.ts';

type Program = ChildProcessByStdio<Writable, Readable, null>;

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Starts the program, and waits for its broker. */
async function start(args: readonly string[]): Promise<{ program: Program; url: string; started: number | null }> {
  const path = fileURLToPath(new URL('./forgetful.ts', import.meta.url));
  const program = spawn(process.execPath, ['--conditions=waybill-source', '--import', tsx, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(program.stdout), 'line')) as [string];
  return { program, ...(JSON.parse(line) as { url: string; started: number | null }) };
}

async function forgetful(
  ...args: string[]
): Promise<{ program: Program; pid: number; folder: string; started: number | null }> {
  const { program, url, started } = await start(args);
  // Looked up from outside: a Redis that is stopped does not say its pid.
  const pid = serverAt(new URL(url).port);
  if (pid === null) throw new Error('no process listens on its port');
  return { program, pid, folder: folderOf(pid), started };
}

/** The pid of the redis-server that was told this port: it shows it as its title. */
function serverAt(port: string): number | null {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => commandOf(pid).includes(`redis-server 127.0.0.1:${port}`));
  return found === undefined ? null : Number(found);
}

function commandOf(pid: number | string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** The data folder, from its watchdog's arguments. */
function folderOf(pid: number): string {
  const parent = /^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
  for (const dog of dogs()) {
    const line = readFileSync(`/proc/${dog}/stat`, 'latin1');
    if (/^\d+ \(.*\) \S (\d+)/s.exec(line)?.[1] === parent) return commandOf(dog).split('\0').at(-2) ?? '';
  }
  throw new Error('no watchdog');
}

function dogs(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandOf(name).includes('waybill-watchdog'));
}

if (existsSync('/proc/self/stat'))
  await withRedis(() => {
    test.each<readonly [string, string[], 'SIGKILL' | null]>([
      ['a program killed by kill -9', [], 'SIGKILL'],
      ['killed while its broker is stopped and another child lives', ['--pause', '--other'], 'SIGKILL'],
      ['a program that just ends', [], null],
    ])('%s leaves no broker, no watchdog and no folder', async (_, args, signal) => {
      const { program, pid, folder, started } = await forgetful(...args);
      expect(folder).toMatch(/wb-redis-/);
      const exit = once(program, 'exit');
      if (signal === null) program.stdin.end();
      else program.kill(signal);
      await exit;
      const left = (): unknown[] => [
        commandOf(pid) !== '',
        existsSync(folder),
        dogs().filter((dog) => commandOf(dog).includes(folder)).length,
      ];
      await expect.poll(left, { timeout: 10_000, interval: 50 }).toEqual([false, false, 0]);
      if (started !== null) process.kill(started, 'SIGKILL');
    });
  });

/** Every process that it has started and that is there, with the folder that the watchdog among them guards. */
function childrenOf(parent: number): { pids: string[]; folder: string } {
  const of = (pid: string): string | undefined => {
    try {
      return /^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
    } catch {
      return undefined; // it has just ended
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && of(name) === String(parent));
  const dog = pids.find((pid) => commandOf(pid).includes('waybill-watchdog')) ?? '';
  return { pids, folder: commandOf(dog).split('\0').at(-2) ?? '' };
}

if (existsSync('/proc/self/stat'))
  await withBroker('rabbitmq', {}, () => {
    test('kill -9 leaves nothing of a broker that is several processes', async () => {
      const { program } = await start(['--rabbitmq']);
      const { pids, folder } = childrenOf(program.pid ?? 0);
      const commands = pids.map(commandOf).join('\n');
      expect(commands).toMatch(/beam/);
      expect(commands).toMatch(/epmd/);
      program.kill('SIGKILL');
      const left = (): unknown[] => [pids.filter((pid) => commandOf(pid) !== ''), existsSync(folder)];
      await expect.poll(left, { timeout: 10_000, interval: 50 }).toEqual([[], false]);
    }, 90_000);
  });
