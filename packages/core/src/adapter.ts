/**
 * The adapter authors' door. If you publish or consume messages, you want `@waybill/core` instead.
 *
 * @module
 */
export * from './contract.ts';
export * from './supports.ts';
export { WaybillError, ERROR_CODES, type ErrorCode } from './errors.ts';
export { Inbox } from './inbox.ts';
export { assign, rank } from './balance.ts';
export { murmur2, partitionOf } from './murmur2.ts';
export { Watermark } from './watermark.ts';
export { type Filter, compileFilter } from './filter.ts';
export { parseBrokerUrl, maskUrl, type BrokerUrl } from './url.ts';
export { duration, type Duration } from './duration.ts';
export { isNetworkError } from './network-errors.ts';
export { hostsOf, OptionChecks } from './option-checks.ts';
export { type Clock, systemClock } from './clock.ts';
export { patiently, untilAborted } from './patience.ts';
export { messageOf } from './sanitise.ts';
export { envelopeOf } from './envelope.ts';
export { encodeWire, decodeWire } from './wire.ts';
