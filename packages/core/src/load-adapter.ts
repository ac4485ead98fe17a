import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isAdapter } from './config-references.ts';
import type { ResolvedBroker } from './config-types.ts';
import type { Adapter, AdapterModule } from './contract.ts';
import { WaybillError } from './errors.ts';
import { messageOf } from './sanitise.ts';
import { adapterOf, type AdapterPackages, knownPackages, knownSchemes } from './schemes.ts';
import type { Supports } from './supports.ts';

/**
 * The adapter of one configured broker; it is not connected yet.
 *
 * @param name The broker's name in the configuration, for errors.
 * @param adapters The configuration's own schemes and packages.
 * @param client This program's name.
 * @throws WaybillError `not-found` when its package is not installed, `invalid` when it refuses its options.
 */
export async function openAdapter(
  name: string,
  broker: ResolvedBroker,
  adapters: AdapterPackages,
  client: string,
): Promise<Adapter> {
  if (broker.kind === 'instance') return broker.adapter;
  const entry = adapterOf(broker.scheme, adapters);
  if (entry === null) {
    const known = knownSchemes(adapters).join(', ');
    throw new WaybillError(
      'invalid',
      `broker '${name}': no adapter for the scheme '${broker.scheme}'; known: ${known}`,
    );
  }
  const module = await loadAdapterPackage(entry.package, `broker '${name}' (${broker.scheme}:)`);
  let adapter: Adapter;
  try {
    adapter = module.createAdapter({ url: broker.url, options: broker.options, client });
  } catch (error) {
    const code = WaybillError.is(error) ? error.code : 'invalid';
    throw new WaybillError(code, `broker '${name}': ${messageOf(error)}`, { cause: error });
  }
  if (isAdapter(adapter)) return adapter;
  throw new WaybillError('invalid', `broker '${name}': createAdapter of ${entry.package} returned no adapter`);
}

/** The manifests of every adapter that is installed, by scheme, so that a refusal can name who meets a need. */
export async function installedManifests(adapters: AdapterPackages = {}): Promise<Record<string, Supports>> {
  const manifests: Record<string, Supports> = Object.create(null) as Record<string, Supports>;
  for (const name of knownPackages(adapters)) {
    try {
      Object.assign(manifests, (await loadAdapterPackage(name, 'manifest')).manifests);
    } catch {
      // Not installed, or broken: then it is no broker to recommend.
    }
  }
  return manifests;
}

/**
 * Imports an adapter's package, from where core is installed, else from where the program runs: with strict package
 * managers, and in the CLI, these are different places.
 *
 * @param wanted Who needs it, for the error.
 */
export async function loadAdapterPackage(
  name: string,
  wanted: string,
  from: string = process.cwd(),
): Promise<AdapterModule> {
  const module = await importPackage(name, wanted, from);
  if (typeof module.createAdapter === 'function' && typeof module.manifests === 'object')
    return module as AdapterModule;
  throw new WaybillError(
    'invalid',
    `${wanted}: the package ${name} is no Waybill adapter; it exports no createAdapter and manifests`,
  );
}

async function importPackage(name: string, wanted: string, from: string): Promise<Partial<AdapterModule>> {
  try {
    return (await import(/* @vite-ignore */ name)) as Partial<AdapterModule>;
  } catch (error) {
    const file = resolveFrom(from, name);
    if (file === null && !isMissing(error, name)) throw broken(name, wanted, error);
    if (file === null) {
      throw new WaybillError(
        'not-found',
        `${wanted} needs the package ${name}, which is not installed; run: npm install ${name}`,
      );
    }
    try {
      return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Partial<AdapterModule>;
    } catch (second) {
      throw broken(name, wanted, second);
    }
  }
}

function resolveFrom(folder: string, name: string): string | null {
  try {
    return createRequire(join(folder, 'package.json')).resolve(name);
  } catch {
    return null;
  }
}

/** Whether the package itself is missing, and not one that it imports (then its own path stands there, unquoted). */
function isMissing(error: unknown, name: string): boolean {
  return messageOf(error).includes(`'${name}'`);
}

function broken(name: string, wanted: string, error: unknown): WaybillError {
  return new WaybillError('invalid', `${wanted}: the package ${name} can't be loaded: ${messageOf(error)}`, {
    cause: error,
  });
}
