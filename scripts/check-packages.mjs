// Packs each package that others import and asks publint and attw whether its exports and types resolve.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
const read = (dir) => JSON.parse(readFileSync(`${dir}/package.json`, 'utf8'));

const workspaces = Object.values(JSON.parse((await run('npm', ['query', '.workspace'])).stdout)).map((w) => w.location);
const shipped = workspaces.filter((dir) => read(dir).files);

const failures = (await Promise.all(shipped.map(check))).filter(Boolean);
if (failures.length > 0) {
  console.error(failures.join('\n'));
  process.exit(1);
}
console.log(`packages: ${shipped.length} checked`);

/** Returns what is wrong with the package in `dir`, or undefined. */
async function check(dir) {
  try {
    await run('node_modules/.bin/publint', ['run', dir, '--strict']);
    // A package with only a command has no types to resolve.
    if (read(dir).exports['.'])
      await run('node_modules/.bin/attw', ['--pack', dir, '--profile', 'esm-only', '--no-emoji']);
    return undefined;
  } catch (error) {
    return `${dir}\n${error.stdout ?? ''}${error.stderr ?? ''}${error.stdout === undefined ? error.message : ''}`;
  }
}
