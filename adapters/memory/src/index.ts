/**
 * A whole broker in this process: for tests, examples and programs that need no other. Nothing survives the process.
 *
 * @module
 */
import { type Adapter, type AdapterConfig, type Supports, WaybillError } from '@waybill/core/adapter';
import { MemoryBroker } from './broker.ts';
import { MemoryAdapter } from './memory.ts';
import {
  type AdapterOptions,
  type BrokerOptions,
  type MemoryOptions,
  resolveAdapter,
  resolveBroker,
} from './options.ts';
import { manifest } from './supports.ts';

export { MemoryBroker } from './broker.ts';
export { BrokerError } from './errors.ts';
export type { Faults, Operation, Share } from './faults.ts';
export { type AdapterOptions, type BrokerOptions, HIDEABLE, type Hideable, type MemoryOptions } from './options.ts';

/** Brokers of this process by the name in their URL. */
const named = new Map<string, { readonly broker: MemoryBroker; readonly settings: string }>();

/**
 * An adapter on a memory broker: on the one given, else on one of its own.
 *
 * @throws WaybillError `invalid`
 */
export function memory(options: MemoryOptions = {}): Adapter & { readonly broker: MemoryBroker } {
  const { ofAdapter, ofBroker } = split(options);
  const own = Object.keys(ofBroker);
  if (options.broker !== undefined && own.length > 0) {
    throw new WaybillError('invalid', `memory: ${own.join(', ')} belong to the broker that is given; set them there`);
  }
  const settings = resolveAdapter(ofAdapter);
  return new MemoryAdapter(options.broker ?? new MemoryBroker(ofBroker), settings);
}

/**
 * For a URL: `memory:` has a broker of its own, `memory://name` shares one with every adapter of that name in this
 * process.
 *
 * @throws WaybillError `invalid`
 */
export function createAdapter(config: AdapterConfig): Adapter {
  const url = /^memory:(?:\/\/([A-Za-z0-9._-]{0,64}))?$/.exec(config.url);
  if (url === null) {
    throw new WaybillError(
      'invalid',
      `the URL of a memory broker is 'memory:' or 'memory://name'; a name has up to 64 letters, digits, '.', '-' and '_'`,
    );
  }
  const options = config.options as MemoryOptions;
  const [, name = ''] = url;
  if (name === '' || options.broker !== undefined) return memory(options);
  const { ofAdapter, ofBroker } = split(options);
  return memory({ ...ofAdapter, broker: brokerNamed(name, ofBroker) });
}

function brokerNamed(name: string, options: BrokerOptions): MemoryBroker {
  const settings = JSON.stringify(resolveBroker(options));
  const existing = named.get(name);
  if (existing?.settings === settings) return existing.broker;
  if (existing !== undefined) {
    throw new WaybillError('invalid', `memory://${name} exists in this process with other options`);
  }
  const broker = new MemoryBroker(options);
  named.set(name, { broker, settings });
  return broker;
}

/** Unknown options go to the broker, which refuses them. */
function split(options: MemoryOptions): { ofAdapter: AdapterOptions; ofBroker: BrokerOptions } {
  const { broker: _, settle, ordering, hide, ...ofBroker } = options;
  const chosen = Object.entries({ settle, ordering, hide }).filter(([, value]) => value !== undefined);
  return { ofAdapter: Object.fromEntries(chosen), ofBroker };
}

export const manifests: Readonly<Record<string, Supports>> = {
  memory: manifest(resolveAdapter({}), resolveBroker({})),
};
