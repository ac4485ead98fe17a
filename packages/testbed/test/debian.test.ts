import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { installDebian } from '../src/debian.ts';

let folder: string;
let policy: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wb-test-'));
  policy = join(folder, 'policy-rc.d');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** An apt-get that writes down how it was called, and what it would have been told about starting services. */
function apt(then: string): Record<string, string> {
  const path = join(folder, 'apt-get');
  const text = `#!/bin/sh\nexport PATH=/usr/bin:/bin\necho "$DEBIAN_FRONTEND $*" >> ${folder}/calls\n`;
  writeFileSync(path, `${text}{ ${policy} || echo "policy $?"; } >> ${folder}/calls 2>/dev/null\n${then}\n`);
  chmodSync(path, 0o755);
  return { PATH: folder };
}

const calls = (): string => readFileSync(join(folder, 'calls'), 'utf8');

test('updates, installs, and lets no service start', async () => {
  expect(await installDebian(['redis-server'], { env: apt('exit 0'), root: true, policy })).toBeNull();
  expect(calls()).toMatch(
    /^noninteractive .*update\npolicy 101\nnoninteractive .*install -y --no-install-recommends redis-server\npolicy 101\n$/,
  );
  expect(existsSync(policy)).toBe(false);
});

test("somebody's own policy stays", async () => {
  writeFileSync(policy, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  await installDebian(['redis-server'], { env: apt('exit 0'), root: true, policy });
  expect(readFileSync(policy, 'utf8')).toContain('exit 0');
});

test('a failure says what apt-get said', async () => {
  const answer = await installDebian(['nope'], {
    env: apt('echo "E: Unable to locate package nope" >&2; exit 100'),
    root: true,
    policy,
  });
  expect(answer).toBe('apt-get install --no-install-recommends nope failed: E: Unable to locate package nope');
  expect(existsSync(policy)).toBe(false);
});

test('without root, or without apt-get: nothing is done, and what to type', async () => {
  expect(await installDebian(['redis-server'], { env: apt('exit 0'), root: false, policy })).toMatch(
    /needs root; as root: apt-get install .*redis-server$/,
  );
  expect(await installDebian(['redis-server'], { env: { PATH: '' }, root: true, policy })).toMatch(/no apt-get/);
  expect(existsSync(join(folder, 'calls'))).toBe(false);
});
