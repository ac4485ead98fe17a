import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';

export type Program = ChildProcessByStdio<Writable, Readable, null>;

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Starts the program, and waits for its broker. */
export async function startForgetful(
  args: readonly string[],
): Promise<{ program: Program; url: string; started: number | null }> {
  const path = fileURLToPath(new URL('./forgetful.ts', import.meta.url));
  const program = spawn(process.execPath, ['--conditions=waybill-source', '--import', tsx, path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(program.stdout), 'line')) as [string];
  return { program, ...(JSON.parse(line) as { url: string; started: number | null }) };
}

export function commandOf(pid: number | string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Every process that it has started and that is there, with the folder that the watchdog among them guards. */
export function childrenOf(parent: number): { pids: string[]; folder: string } {
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
