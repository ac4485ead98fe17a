import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processIdentity } from './process-identity.ts';

/**
 * Runs an action that no other process of this machine may run at the same time. A lock whose holder has died is taken.
 *
 * @param path Of a file that says who holds the lock.
 */
export async function withLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const mine = `${process.pid} ${(await processIdentity(process.pid)) ?? ''}`;
  while (!(await taken(path, mine))) {
    const holder = await readFile(path, 'utf8').catch(() => null);
    if (holder !== null && holder !== '' && !(await lives(holder))) await remove(path, holder);
    else await sleep(100);
  }
  try {
    return await action();
  } finally {
    await rm(path, { force: true });
  }
}

async function taken(path: string, mine: string): Promise<boolean> {
  try {
    await writeFile(path, mine, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false;
    throw error;
  }
}

async function lives(holder: string): Promise<boolean> {
  const [pid = '', ...identity] = holder.split(' ');
  return (await processIdentity(Number(pid))) === identity.join(' ');
}

/** Another may have removed it first, and hold the lock now: then that one's is put back. */
async function remove(path: string, holder: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  await rename(path, aside).catch(() => undefined);
  const removed = await readFile(aside, 'utf8').catch(() => holder);
  if (removed === holder) await rm(aside, { force: true });
  else await rename(aside, path);
}
