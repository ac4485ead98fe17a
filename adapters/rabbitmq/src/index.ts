/**
 * Waybill on RabbitMQ.
 *
 * @module
 */
import type { Adapter, AdapterConfig, Supports } from '@waybill/core/adapter';
import { type RabbitOptions, settingsOf } from './options.ts';
import { RabbitAdapter } from './rabbitmq.ts';
import { supportsOf } from './supports.ts';

export type { RabbitOptions } from './options.ts';

/** An adapter for one RabbitMQ server or cluster; it connects when core says so. @throws WaybillError `invalid` */
export function rabbitmq(options: RabbitOptions = {}): Adapter {
  return new RabbitAdapter(settingsOf(options, 'waybill'));
}

/** What core calls for `amqp:` and `amqps:` URLs. @throws WaybillError `invalid` */
export function createAdapter({ url, options, client }: AdapterConfig): Adapter {
  return new RabbitAdapter(settingsOf({ ...(options as RabbitOptions), url }, client));
}

const manifest = supportsOf(settingsOf({}, 'waybill'));

/** The manifest of the default options, by URL scheme. */
export const manifests: Readonly<Record<string, Supports>> = { amqp: manifest, amqps: manifest };
