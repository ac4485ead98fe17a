import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { jarsOf } from '../src/jars.ts';
import { withLock } from '../src/lock-file.ts';
import { fetchStock, hasStock, stockFolder } from '../src/stock.ts';

let home: string;
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'wb-test-'))));
afterEach(() => rmSync(home, { recursive: true }));

const jars = jarsOf({ folder: 'thing-1.0', artefacts: ['org.thing:server:1.0'], without: ['org.thing:tools'] });

/** A mvn that notes how it was called and what is in the list it was given. */
function mvn(then: string): string {
  const path = join(home, 'mvn');
  const text = `#!/bin/sh
echo "$@" >> ${home}/calls
for word; do case $word in */pom.xml) cat "$word" >> ${home}/list ;; -DoutputDirectory=*) to=\${word#*=} ;; esac; done
${then}
`;
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

test('fetched once, by however many at a time; the list says what, and what not', async () => {
  const env = { HOME: home, PATH: process.env['PATH'] };
  const program = mvn('mkdir -p "$to"; sleep 0.2; touch "$to/thing.jar"');
  expect(hasStock(jars, env)).toBe(false);
  const answers = await Promise.all([1, 2, 3].map(() => fetchStock(jars, program, env)));
  expect(answers).toEqual([null, null, null]);
  expect(readdirSync(stockFolder(jars, env))).toEqual(['thing.jar']);
  expect(readFileSync(join(home, 'calls'), 'utf8').trim().split('\n')).toHaveLength(1);
  expect(readFileSync(join(home, 'list'), 'utf8')).toContain(
    '<groupId>org.thing</groupId><artifactId>server</artifactId><version>1.0</version><exclusions><exclusion>' +
      '<groupId>org.thing</groupId><artifactId>tools</artifactId></exclusion></exclusions>',
  );
  expect(readdirSync(join(home, '.cache', 'waybill'))).toEqual(['thing-1.0']);
});

test('a failure says what mvn said, and leaves nothing', async () => {
  const env = { HOME: home, PATH: process.env['PATH'] };
  const program = mvn('mkdir -p "$to"; echo "[ERROR] Could not resolve dependencies"; exit 1');
  expect(await fetchStock(jars, program, env)).toBe(
    'mvn could not fetch thing-1.0: [ERROR] Could not resolve dependencies',
  );
  expect(readdirSync(join(home, '.cache', 'waybill'))).toEqual([]);
});

test('a lock is held by one at a time; that of a dead process is taken', async () => {
  const path = join(home, 'lock');
  writeFileSync(path, '999999999 somebody');
  let inside = 0;
  const action = async (): Promise<number> => {
    inside += 1;
    const seen = inside;
    await new Promise((resolve) => setImmediate(resolve));
    inside -= 1;
    return seen;
  };
  expect(await Promise.all([1, 2, 3].map(() => withLock(path, action)))).toEqual([1, 1, 1]);
  expect(existsSync(path)).toBe(false);
});

test('a lock is free again after a failure', async () => {
  const path = join(home, 'lock');
  const failing = withLock(path, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(existsSync(path)).toBe(false);
});
