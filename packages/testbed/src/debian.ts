import { execFile } from 'node:child_process';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type Environment, findProgram } from './program.ts';
import { textOf } from './readiness.ts';

export interface DebianOptions {
  readonly env: Environment;
  /** Whether this process may. Default: whether it is root. */
  readonly root?: boolean;
  /** What Debian asks before it starts a service. */
  readonly policy?: string;
}

const run = promisify(execFile);
const limit = { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 };

/** The command to type. */
export function installCommand(packages: readonly string[]): string {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`;
}

/**
 * Installs Debian packages and starts no service of theirs. Null when they are there, else why not. It asks nobody:
 * call it only when the user has.
 */
export async function installDebian(packages: readonly string[], options: DebianOptions): Promise<string | null> {
  const { env, root = process.getuid?.() === 0, policy = '/usr/sbin/policy-rc.d' } = options;
  const apt = findProgram('apt-get', env);
  if (apt === null) return 'there is no apt-get to install it with';
  if (!root) return `installing needs root; as root: ${installCommand(packages)}`;
  const guarded = await guard(policy);
  try {
    const settings = { ...limit, env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } };
    const wait = ['-o', 'DPkg::Lock::Timeout=300', '-q'];
    await run(apt, [...wait, 'update'], settings);
    await run(apt, [...wait, 'install', '-y', '--no-install-recommends', ...packages], settings);
    return null;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    const lines = stderr.trim().split('\n').slice(-3).join(' / ');
    return `${installCommand(packages)} failed: ${lines === '' ? textOf(error) : lines}`;
  } finally {
    if (guarded) await rm(policy, { force: true });
  }
}

/** Exit code 101 means no. False where there is a policy already: it is somebody's, and it stays. */
async function guard(policy: string): Promise<boolean> {
  try {
    await writeFile(policy, '#!/bin/sh\nexit 101\n', { flag: 'wx' });
    await chmod(policy, 0o755);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'EEXIST') return false;
    throw error;
  }
}
