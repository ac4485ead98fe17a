import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../src/config.ts';
import type { ResolvedBroker } from '../src/config-types.ts';
import { installedManifests, loadAdapterPackage, openAdapter } from '../src/load-adapter.ts';
import { adapterOf, knownPackages } from '../src/schemes.ts';

let folder: string;
const install = async (name: string, source: string): Promise<void> => {
  const home = join(folder, 'node_modules', name);
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), JSON.stringify({ name, type: 'module', exports: './index.js' }));
  await writeFile(join(home, 'index.js'), source);
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill-adapters-'));
  await install(
    'acme-good',
    `export const manifests = { acme: {} }; export const createAdapter = (c) => ({ name: 'acme', supports: {}, publish() {}, given: c });`,
  );
  await install('acme-none', `export const other = 1;`);
  await install('acme-broken', `import 'acme-not-there';`);
  await install(
    'acme-picky',
    `export const manifests = {}; export const createAdapter = ({ url }) => { throw new Error('bad url ' + url); };`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const broker = (url: string, adapters: Record<string, string>): ResolvedBroker | undefined =>
  parseConfig({ brokers: { main: url }, adapters }, 'test').brokers['main'];

describe('the table', () => {
  test.each([
    ['memory', '@waybill/memory'],
    ['kafkas', '@waybill/kafka'],
    ['amqp', '@waybill/rabbitmq'],
    ['rediss', '@waybill/redis'],
    ['sqs-fifo+http', '@waybill/sqs'],
  ])('%s comes from %s', (scheme, name) => expect(adapterOf(scheme, {})?.package).toBe(name));

  test('unknown schemes have none, whatever objects inherit', () => {
    for (const scheme of ['nats', 'toString', '__proto__', 'constructor', 'fs'])
      expect(adapterOf(scheme, {})).toBeNull();
  });

  test('configuration adds to it', () => {
    expect(adapterOf('nats', { nats: '@acme/nats' })).toEqual({ adapter: 'nats', package: '@acme/nats' });
    expect(knownPackages({ nats: '@acme/nats' })).toContain('@acme/nats');
  });
});

describe('packages', () => {
  test('are found from where the program runs, when core does not see them', async () => {
    expect(Object.keys((await loadAdapterPackage('acme-good', 'x', folder)).manifests)).toEqual(['acme']);
  });

  test.each([
    [
      'acme-nowhere',
      'not-found',
      "broker 'main' needs the package acme-nowhere, which is not installed; run: npm install acme-nowhere",
    ],
    ['acme-none', 'invalid', 'is no Waybill adapter'],
    ['acme-broken', 'invalid', "acme-broken can't be loaded"],
  ])('%s', async (name, code, message) => {
    const error: unknown = await loadAdapterPackage(name, "broker 'main'", folder).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });
});

const fromFolder = async (url: string, name: string): Promise<unknown> => {
  const home = process.cwd();
  process.chdir(folder);
  try {
    return await openAdapter('main', broker(url, { acme: name })!, { acme: name }, 'client-1');
  } finally {
    process.chdir(home);
  }
};

describe('openAdapter', () => {
  test('hands over URL, options and client', async () => {
    expect(await fromFolder('acme://u:hunter2222@h', 'acme-good')).toMatchObject({
      name: 'acme',
      given: { url: 'acme://u:hunter2222@h', options: {}, client: 'client-1' },
    });
  });

  test('names the broker when the adapter refuses, without secrets', async () => {
    const error = await fromFolder('acme://u:hunter2222@h', 'acme-picky').catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'invalid', message: "broker 'main': bad url acme://***@h" });
  });

  test('an instance is used as it is', async () => {
    const adapter = { name: 'mine', supports: {}, publish: () => undefined } as never;
    expect(await openAdapter('main', { kind: 'instance', adapter }, {}, 'c')).toBe(adapter);
  });

  test('an unknown scheme is refused, not imported', async () => {
    const stranger = { kind: 'url', scheme: 'fs', url: 'fs:', options: {} } as const;
    await expect(openAdapter('main', stranger, {}, 'c')).rejects.toMatchObject({ code: 'invalid' });
  });
});

test('installedManifests leaves out what is not there', async () => {
  await expect(installedManifests({ acme: 'acme-nowhere' })).resolves.toBeTypeOf('object');
});
