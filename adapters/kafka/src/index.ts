/**
 * Waybill on Apache Kafka.
 *
 * @module
 */
import type { Adapter, AdapterConfig, Supports } from '@waybill/core/adapter';
import { KafkaAdapter } from './kafka.ts';
import { type KafkaOptions, settingsOf } from './options.ts';
import { supportsOf } from './supports.ts';

export type { KafkaOptions } from './options.ts';

/** An adapter for one Kafka cluster; it connects when core says so. @throws WaybillError `invalid` */
export function kafka(options: KafkaOptions = {}): Adapter {
  return new KafkaAdapter(settingsOf(options, 'waybill'));
}

/** What core calls for `kafka:` and `kafkas:` URLs. @throws WaybillError `invalid` */
export function createAdapter({ url, options, client }: AdapterConfig): Adapter {
  return new KafkaAdapter(settingsOf({ ...(options as KafkaOptions), url }, client));
}

const manifest = supportsOf(settingsOf({}, 'waybill'));

/** The manifest of the default options, by URL scheme. */
export const manifests: Readonly<Record<string, Supports>> = { kafka: manifest, kafkas: manifest };
