import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commandOf, type Program, startForgetful } from './forgetful-program.ts';
import { withRedis } from './redis-server.ts';

async function forgetful(
  ...args: string[]
): Promise<{ program: Program; pid: number; folder: string; started: number | null }> {
  const { program, url, started } = await startForgetful(args);
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
