import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Clock } from './clock.ts';
import type { Control, Headers, OutgoingMessage } from './contract.ts';
import { duration, formatDuration } from './duration.ts';
import { PublishError, WaybillError } from './errors.ts';
import { issuesText } from './intake.ts';
import { partitionOf } from './murmur2.ts';
import type { PublishOptions } from './options.ts';
import type { Place } from './places.ts';
import { quote } from './quote.ts';
import { uuidv7 } from './uuid.ts';

const NO_HEADERS: Headers = Object.freeze(Object.create(null) as Record<string, never>);
const NO_OPTIONS: PublishOptions = Object.freeze({});
const KNOWN = new Set(['key', 'id', 'headers', 'delay', 'expires', 'time', 'signal']);

/**
 * Checks a payload and its options and makes the message. A promise only where the schema needs one.
 *
 * @throws PublishError `invalid` or `unsupported`, outcome `rejected`: nothing was sent.
 */
export function encode(
  place: Place,
  payload: unknown,
  options: PublishOptions = NO_OPTIONS,
  clock: Clock,
  source: string | null,
): OutgoingMessage | Promise<OutgoingMessage> {
  const now = clock.now();
  const id = options.id ?? uuidv7(now);
  const { schema } = place.topic;
  if (schema === null) return build(place, payload, options, id, now, source);
  let result: StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>>;
  try {
    result = schema['~standard'].validate(payload);
  } catch (error) {
    throw refused(place, id, `its schema threw on ${quote(payload)}`, error);
  }
  if (!(result instanceof Promise)) {
    if (result.issues !== undefined) throw mismatch(place, id, result.issues);
    return build(place, payload, options, id, now, source);
  }
  return result.then(
    (settled) => {
      if (settled.issues !== undefined) throw mismatch(place, id, settled.issues);
      return build(place, payload, options, id, now, source);
    },
    (error: unknown) => {
      throw refused(place, id, 'its schema check failed', error);
    },
  );
}

function build(
  place: Place,
  payload: unknown,
  options: PublishOptions,
  id: string,
  now: number,
  source: string | null,
): OutgoingMessage {
  const { topic, destination } = place;
  if (options !== NO_OPTIONS) checkOptions(place, options, id);
  const [codec] = topic.codecs;
  let body: Uint8Array;
  let key: string | null;
  let type: string | null;
  try {
    body = codec.encode(payload);
    key = options.key ?? (topic.key === null ? null : topic.key(payload));
    type = typeof topic.type === 'function' ? topic.type(payload) : topic.type;
  } catch (error) {
    throw refused(place, id, error instanceof Error ? error.message : String(error), error);
  }
  if (key !== null && typeof key !== 'string') throw refused(place, id, `its key is ${quote(key)}; allowed: a string`);
  if (key !== null && !key.isWellFormed())
    throw refused(place, id, 'its key holds a lone surrogate, which no broker can carry');
  if (topic.ordered && key === null) throw refused(place, id, 'it has no key, but the topic is ordered by key');
  const expires = expiryOf(options.expires, now);
  const control: Control | null = expires === null ? null : { expires };
  return {
    id,
    sendId: id,
    time: options.time === undefined ? now : options.time.getTime(),
    key,
    type,
    source,
    contentType: codec.contentType,
    headers: options.headers === undefined ? NO_HEADERS : own(options.headers),
    control,
    body,
    partition: destination.partitions !== null && key !== null ? partitionOf(key, destination.partitions) : null,
    delay: delayOf(place, options, id),
  };
}

/** A map without prototype, so that a header called `__proto__` is a header. */
function own(headers: NonNullable<PublishOptions['headers']>): Headers {
  const map = Object.create(null) as Record<string, string | Uint8Array>;
  for (const name of Object.keys(headers)) map[name] = headers[name] as string | Uint8Array;
  return map;
}

function checkOptions(place: Place, options: PublishOptions, id: string): void {
  for (const name in options)
    if (!KNOWN.has(name))
      throw refused(place, id, `${name} is not an option of publish; allowed: ${[...KNOWN].join(', ')}`);
  const { headers, time } = options;
  if (options.id !== undefined && !(typeof id === 'string' && /^[\x21-\x7e]{1,255}$/.test(id)))
    throw refused(place, id, `its id is ${quote(id)}; allowed: 1 to 255 visible ASCII characters`);
  if (time !== undefined && !Number.isFinite(time.getTime())) throw refused(place, id, 'its time is not a valid Date');
  if (headers !== undefined && (typeof headers !== 'object' || headers === null || Array.isArray(headers)))
    throw refused(place, id, `its headers are ${quote(headers)}; allowed: an object of names and values`);
}

function expiryOf(expires: PublishOptions['expires'], now: number): number | null {
  if (expires === undefined) return null;
  return expires instanceof Date ? expires.getTime() : now + duration(expires, 'expires');
}

function delayOf(place: Place, options: PublishOptions, id: string): number {
  if (options.delay === undefined) return 0;
  const delay = duration(options.delay, 'delay');
  if (delay === 0) return 0;
  const { supports } = place.broker.link.adapter;
  const { delay: native } = supports.publish;
  const problem =
    native.by === 'refused'
      ? `${supports.adapter} can't delay a publish (publish.delay is refused)`
      : native.max !== null && delay > native.max
        ? `a delay of ${formatDuration(delay)} is longer than the ${formatDuration(native.max)} that ${supports.adapter} takes (publish.delay.max)`
        : place.topic.ordered && !native.ordered
          ? `${supports.adapter} can't delay a message of an ordered topic, which would hold back or overtake its key (publish.delay.ordered)`
          : null;
  if (problem === null) return delay;
  throw new PublishError('unsupported', `message for '${place.destination.name}': ${problem}`, {
    outcome: 'rejected',
    id,
  });
}

function mismatch(place: Place, id: string, issues: readonly StandardSchemaV1.Issue[]): PublishError {
  return refused(place, id, `its payload does not match the schema: ${issuesText(issues)}`);
}

function refused(place: Place, id: string, why: string, cause?: unknown): PublishError {
  const options = { outcome: 'rejected' as const, id };
  return new PublishError(
    'invalid',
    `message for '${place.destination.name}': ${why}`,
    cause === undefined ? options : { ...options, cause },
  );
}

/** Anything that went wrong before a message was handed on, as the PublishError that its caller gets. */
export function asPublishError(error: unknown, id: string): PublishError {
  if (PublishError.is(error)) return error;
  const known = WaybillError.is(error)
    ? error
    : new WaybillError('invalid', error instanceof Error ? error.message : String(error), { cause: error });
  return new PublishError(known.code, known.message, { outcome: 'rejected', id, cause: known });
}
