/**
 * Waybill on Redis Streams.
 *
 * @module
 */
import type { Adapter, AdapterConfig, Supports } from '@waybill/core/adapter';
import { type RedisOptions, settingsOf } from './options.ts';
import { RedisAdapter } from './redis.ts';
import { supportsOf } from './supports.ts';

export type { RedisOptions } from './options.ts';

/** An adapter for one Redis server; it connects when core says so. @throws WaybillError `invalid` */
export function redis(options: RedisOptions = {}): Adapter {
  return new RedisAdapter(settingsOf(options, 'waybill'));
}

/** What core calls for `redis:` and `rediss:` URLs. @throws WaybillError `invalid` */
export function createAdapter({ url, options, client }: AdapterConfig): Adapter {
  return new RedisAdapter(settingsOf({ ...(options as RedisOptions), url }, client));
}

const manifest = supportsOf(settingsOf({}, 'waybill'));

/** The manifest of the default options, by URL scheme. */
export const manifests: Readonly<Record<string, Supports>> = { redis: manifest, rediss: manifest };
