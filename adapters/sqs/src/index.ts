/**
 * Waybill on Amazon SQS: standard queues (`sqs:`, no order) and FIFO queues (`sqs-fifo:`, order by key).
 *
 * @module
 */
import type { Adapter, AdapterConfig, Supports } from '@waybill/core/adapter';
import { settingsOf, type SqsOptions } from './options.ts';
import { SqsAdapter } from './sqs.ts';
import { supportsOf } from './supports.ts';

export type { SqsOptions } from './options.ts';

/** An adapter for standard queues; it connects when core says so. @throws WaybillError `invalid` */
export function sqs(options: SqsOptions = {}): Adapter {
  return new SqsAdapter(settingsOf(options, 'waybill', 'sqs'));
}

/** An adapter for FIFO queues; it connects when core says so. @throws WaybillError `invalid` */
export function sqsFifo(options: SqsOptions = {}): Adapter {
  return new SqsAdapter(settingsOf(options, 'waybill', 'sqs-fifo'));
}

/** What core calls for `sqs:` and `sqs-fifo:` URLs, with `+http` and `+https` or without. @throws WaybillError `invalid` */
export function createAdapter({ url, options, client }: AdapterConfig): Adapter {
  const usual = url.toLowerCase().startsWith('sqs-fifo') ? 'sqs-fifo' : 'sqs';
  return new SqsAdapter(settingsOf({ ...(options as SqsOptions), url }, client, usual));
}

const standard = supportsOf(settingsOf({}, 'waybill', 'sqs'));
const fifo = supportsOf(settingsOf({}, 'waybill', 'sqs-fifo'));

/** The manifests of the default options, by URL scheme. */
export const manifests: Readonly<Record<string, Supports>> = { sqs: standard, 'sqs-fifo': fifo };
