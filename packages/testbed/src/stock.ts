import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Tool } from './kit.ts';
import { withLock } from './lock-file.ts';
import type { Environment } from './program.ts';

/** What a broker is made of beside the programs of this machine: fetched once, and kept. */
export interface Stock {
  /** Its folder in the cache: a name and a version. */
  readonly folder: string;
  /** What fetches it. */
  readonly tool: Tool;
  /** Fills an empty folder that exists. Null, or why not. @param program The tool's path. */
  fetch(into: string, program: string, env: Environment): Promise<string | null>;
}

/** Where what was fetched stays: in the user's cache folder. */
export function cacheFolder(env: Environment): string {
  const cache = env['XDG_CACHE_HOME'] ?? '';
  return join(cache === '' ? join(env['HOME'] ?? homedir(), '.cache') : cache, 'waybill');
}

export function stockFolder({ folder }: Stock, env: Environment): string {
  return join(cacheFolder(env), folder);
}

/** Whether it has been fetched: the folder gets its name when it is complete. */
export function hasStock(stock: Stock, env: Environment): boolean {
  return existsSync(stockFolder(stock, env));
}

/** Null when it is there, else why not. It asks nobody: call it only when the user has. */
export async function fetchStock(stock: Stock, program: string, env: Environment): Promise<string | null> {
  const folder = stockFolder(stock, env);
  return withLock(`${folder}.lock`, async () => {
    if (hasStock(stock, env)) return null; // another process has fetched it meanwhile
    await mkdir(cacheFolder(env), { recursive: true });
    const work = await mkdtemp(`${folder}.`);
    try {
      const refused = await stock.fetch(work, program, env);
      if (refused === null) await rename(work, folder);
      return refused;
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
}
