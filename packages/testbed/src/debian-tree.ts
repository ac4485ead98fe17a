import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Environment } from './program.ts';
import { textOf } from './readiness.ts';
import type { Stock } from './stock.ts';

const run = promisify(execFile);
const limit = { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 };
/** What scripts of brokers use of a system. */
const system = ['dash', 'bash', 'coreutils', 'mawk', 'grep', 'sed', 'hostname', 'procps'];

/**
 * Packages of another Debian release, with all that they need, from the mirror that this machine uses. They are
 * unpacked only, and nothing of this machine changes; run programs in there with `unshare` and `argumentsInTree`.
 */
export function debianTree(release: string, packages: readonly string[]): Stock {
  return {
    folder: `${packages[0] ?? 'tree'}-${release}`,
    tool: { program: 'apt-get', debian: 'apt' },
    fetch: async (into, apt, env) => {
      const settings = { ...limit, env: { ...env, LC_ALL: 'C' } };
      const work = join(into, 'apt');
      try {
        for (const folder of ['lists/partial', 'cache/partial']) await mkdir(join(work, folder), { recursive: true });
        await writeFile(join(work, 'status'), ''); // as if nothing were installed: so everything is fetched
        await writeFile(join(work, 'sources'), `deb ${await mirror(apt, env)} ${release} main\n`);
        const options = optionsOf(work);
        await run(apt, [...options, 'update'], settings);
        const install = ['-y', '--no-install-recommends', '--download-only', 'install', ...packages, ...system];
        await run(apt, [...options, ...install], settings);
        for (const name of await readdir(join(work, 'cache')))
          if (name.endsWith('.deb')) await unpack(join(work, 'cache', name), into);
        await rm(work, { recursive: true });
        await finish(into);
        return null;
      } catch (error) {
        const { stderr = '' } = error as { stderr?: string };
        const said = stderr.trim().split('\n').at(-1) ?? '';
        return `the packages of Debian ${release} could not be fetched: ${said === '' ? textOf(error) : said}`;
      }
    },
  };
}

/** What `unshare` must be told to become a program of the tree, which sees the folder as `/mnt`. Needs root. */
export function argumentsInTree(tree: string, folder: string, program: string): readonly string[] {
  // The mounts are seen by this process and its children only, and go with them; it becomes the program itself.
  const script = `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --bind "$2" "$1/mnt" &&
export PATH=/usr/sbin:/usr/bin && exec chroot "$1" "$3"`;
  return ['--mount', '--', 'sh', '-c', script, 'waybill-tree', tree, folder, program];
}

/** The first of the machine's own; security updates are elsewhere. */
async function mirror(apt: string, env: Environment): Promise<string> {
  const words = ['indextargets', '--format', '$(SITE)', 'Created-By: Packages'];
  const { stdout } = await run(apt, words, { ...limit, env: { ...env } });
  const site = stdout.split('\n').find((line) => line !== '' && !line.includes('security'));
  if (site === undefined) throw new Error('apt-get knows no mirror of Debian');
  return site;
}

/** Keeps apt apart from what it knows of this machine; keys and proxies are the machine's. */
function optionsOf(work: string): string[] {
  const options = {
    'Dir::Etc::sourcelist': join(work, 'sources'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(work, 'lists'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache::archives': join(work, 'cache'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': '1',
  };
  return ['-qq', ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
}

async function unpack(archive: string, into: string): Promise<void> {
  const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink';
  await run('sh', ['-c', script, 'unpack', archive, into], limit);
}

/** What the packages' own scripts would have done, as far as a broker needs it. */
async function finish(tree: string): Promise<void> {
  await symlink('mawk', join(tree, 'usr/bin/awk')).catch(() => undefined);
  for (const folder of ['proc', 'dev', 'mnt', 'tmp']) await mkdir(join(tree, folder), { recursive: true });
  await writeFile(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(tree, 'etc/group'), 'root:x:0:\n');
  await writeFile(join(tree, 'etc/hosts'), '127.0.0.1 localhost\n');
}
