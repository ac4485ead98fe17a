import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from './program.ts';

/** Where what was fetched stays: in the user's cache folder. */
export function cacheFolder(env: Environment): string {
  const cache = env['XDG_CACHE_HOME'] ?? '';
  return join(cache === '' ? join(env['HOME'] ?? homedir(), '.cache') : cache, 'waybill');
}
