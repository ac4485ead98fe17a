import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findConfigFile, loadConfig, readConfigFile, substitute } from '../src/config-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill-config-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = async (name: string, text: string): Promise<string> => {
  await writeFile(join(folder, name), text);
  return join(folder, name);
};
const read = (file: string, env: Record<string, string> = {}): Promise<unknown> => readConfigFile(file, env);

describe('files', () => {
  test.each([
    ['waybill.config.ts', `const source: string = 'ts'; export default { brokers: { main: 'memory:' }, source };`],
    ['waybill.config.mjs', `export default { brokers: { main: 'memory:' }, source: 'mjs' };`],
    ['waybill.config.js', `export default { brokers: { main: 'memory:' }, source: 'js' };`],
    ['waybill.config.json', `{ "brokers": { "main": "memory:" }, "source": "json" }`],
    ['waybill.config.yaml', `brokers:\n  main: 'memory:'\nsource: yaml\n`],
    ['waybill.config.yml', `brokers: { main: 'memory:' }\nsource: yml\n`],
  ])('%s', async (name, text) => {
    await write('package.json', '{ "type": "module" }');
    await write(name, text);
    const config = await loadConfig(undefined, { cwd: folder, env: {} });
    expect(config).toMatchObject({ where: name, source: name.split('.').at(-1), defaultBroker: 'main' });
  });

  test('two are refused, naming both', async () => {
    await write('waybill.config.json', '{}');
    await write('waybill.config.yml', '');
    expect(() => findConfigFile(folder)).toThrow('waybill.config.json and waybill.config.yml');
  });

  test.each([
    ['c.json', '{ "brokers": { "main": "redis://u:hunter2222@h" ', 'c.json is not JSON'],
    ['c.json', '{\n "a": 1,\n "a": 2 }', 'line 3: a key given twice'],
    ['c.yaml', 'brokers:\n  main: "memory:"\n  main: "memory:"\n', 'line 3: a key given twice'],
    ['c.yaml', 'brokers: { main: [hunter2222\n', 'c.yaml has mistakes: line'],
    [
      'c.yaml',
      'a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n',
      'aliases that unfold to too much',
    ],
    ['c.yaml', 'a: *nobody\n', 'c.yaml'],
    ['c.yaml', 'brokers: !!js/function "x"\n', 'brokers'],
    ['c.mjs', `throw new Error('redis://u:hunter2222@h refused');`, "c.mjs can't be loaded: redis://***@h refused"],
    ['c.mjs', `export const config = {};`, 'c.mjs has no default export'],
    ['c.toml', '', 'c.toml is of no known type'],
  ])('%s is refused: %j', async (name, text, expected) => {
    const error = await read(await write(name, text)).catch((thrown: unknown) => thrown as Error);
    expect((error as Error).message).toContain(expected);
    expect((error as Error).message).not.toContain('hunter2222');
  });

  test('a file that is not there', async () => {
    await expect(read(join(folder, 'x.json'))).rejects.toMatchObject({ code: 'not-found' });
  });

  test('YAML is of the core schema: no dates, no merge keys, no octal surprises', async () => {
    const file = await write(
      'c.yaml',
      `brokers: { main: 'memory:' }\nsubscriptions:\n  orders/a:\n    start: 2026-01-31T12:00:00Z\n`,
    );
    expect(await read(file)).toMatchObject({
      subscriptions: { 'orders/a': { start: { time: Date.UTC(2026, 0, 31, 12) } } },
    });
  });
});

describe('precedence', () => {
  const env = { WAYBILL_URL: 'memory:' };

  test('an argument, then a file, then WAYBILL_URL', async () => {
    expect((await loadConfig(undefined, { cwd: folder, env })).where).toBe('WAYBILL_URL');
    await write('waybill.config.json', '{ "brokers": { "main": "${WAYBILL_URL}" } }');
    expect((await loadConfig(undefined, { cwd: folder, env })).where).toBe('waybill.config.json');
    expect((await loadConfig('memory:', { cwd: folder, env })).where).toBe('connect()');
    expect((await loadConfig({ brokers: { x: 'memory:' } }, { cwd: folder, env })).defaultBroker).toBe('x');
  });

  test('an explicit file is not looked for', async () => {
    await write('other.json', '{ "brokers": { "main": "memory:" } }');
    expect((await loadConfig(undefined, { cwd: folder, env, file: 'other.json' })).where).toBe('other.json');
  });

  test('without any, the error shows the three ways', async () => {
    const error = await loadConfig(undefined, { cwd: folder, env: {} }).catch((thrown: unknown) => thrown as Error);
    expect((error as Error).message).toMatch(/connect\('redis.*waybill\.config\.ts.*WAYBILL_URL=/s);
  });
});

describe('substitution', () => {
  const env = { HOST: 'h', EMPTY: '' };
  test.each([
    ['${HOST}', 'h'],
    ['a-${HOST}-${HOST}', 'a-h-h'],
    ['${MISSING:-x}', 'x'],
    ['${MISSING:-}', ''],
    ['${EMPTY}', ''],
    ['${EMPTY:-x}', 'x'],
    ['$HOST $', '$HOST $'],
  ])('%s', (given, expected) => {
    expect(substitute({ a: [given] }, 'test', env).value).toEqual({ a: [expected] });
  });

  test('a missing variable names its path, and all come at once', () => {
    const data = { brokers: { main: '${NOPE}' }, topics: { 'a.b': '${toString}' }, x: '${1}' };
    expect(() => substitute(data, 'f.yaml', env)).toThrow(
      /f\.yaml: brokers\.main needs the environment variable NOPE.*topics\['a\.b'\] needs .*toString.*x has a \$\{/s,
    );
  });

  test('keys are left alone, and a value can not become structure', () => {
    const { value, hidden } = substitute({ '${HOST}': '${X:-{"a":1}' }, 'test', env);
    expect(value).toEqual({ '${HOST}': '{"a":1' });
    expect([...hidden]).toEqual(["['${HOST}']"]);
  });
});
