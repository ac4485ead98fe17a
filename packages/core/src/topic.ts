import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type Codec, codecNamed, type CodecName } from './codec.ts';
import { WaybillError } from './errors.ts';
import { checkName } from './names.ts';

/** What happens to an `offer` that finds the topic's buffer full. */
export type DropPolicy = 'drop-oldest' | 'drop-newest' | 'sample';

export interface TopicOptions<T, I = T> {
  /** Any Standard Schema (zod, valibot, arktype …). Checked before publish and on receipt. */
  readonly schema?: StandardSchemaV1<I, T>;
  /** The ordering key. A topic with a key needs a broker that keeps order per key, unless `ordering` is `none`. */
  readonly key?: (payload: I) => string;
  /** `key` where there is a `key` function, else `none`. Say `none` to use the key for spreading only. */
  readonly ordering?: 'key' | 'none';
  /** The message type, for filters and readers. */
  readonly type?: string | ((payload: I) => string);
  /** `json` (default), `bytes`, `text`, or your own. The first writes; a message's content type picks among them. */
  readonly codec?: CodecName | Codec | readonly (CodecName | Codec)[];
  /** `best-effort` topics take `offer` and may drop. Default `reliable`. */
  readonly delivery?: 'reliable' | 'best-effort';
  /** Best-effort only: most messages waiting (default 1,000), and what to drop when full (default `drop-oldest`). */
  readonly buffer?: number;
  readonly overflow?: DropPolicy;
  /**
   * P3: what happens to messages of a key accepted behind one that ended rejected or unknown. `reject` (default): they
   * end with code `order`, nothing sent. `continue`: they are sent.
   */
  readonly onKeyFailure?: 'reject' | 'continue';
}

/** A place to publish: handlers get a `T`; publishers give an `I`, which differs where the schema transforms. */
export interface Topic<T, I = T> {
  readonly name: string;
  readonly ordered: boolean;
  readonly schema: StandardSchemaV1<I, T> | null;
  readonly key: ((payload: I) => string) | null;
  readonly type: string | ((payload: I) => string) | null;
  readonly codecs: readonly [Codec, ...Codec[]];
  readonly bestEffort: boolean;
  readonly buffer: number;
  readonly overflow: DropPolicy;
  readonly onKeyFailure: 'reject' | 'continue';
}

/** A topic of any payload: what `connect` takes to check and provision. */
export type AnyTopic = Omit<Topic<unknown>, 'schema' | 'key' | 'type'>;

/**
 * Declares a topic. It opens nothing; topics are values, to be shared by publishers and consumers.
 *
 * @example
 * const orders = topic('orders', { schema: OrderEvent, key: (event) => event.orderId });
 *
 * @throws WaybillError `invalid` for a bad name or options that conflict.
 */
export function topic<T = unknown, I = T>(name: string, options: TopicOptions<T, I> = {}): Topic<T, I> {
  checkName('topic', name);
  const {
    schema,
    key,
    ordering,
    type,
    codec = 'json',
    delivery = 'reliable',
    buffer,
    overflow,
    onKeyFailure,
  } = options;
  const problems: string[] = [];
  if (ordering === 'key' && key === undefined) problems.push(`ordering 'key' needs a key function`);
  if (delivery !== 'best-effort' && buffer !== undefined) problems.push(`buffer is for delivery 'best-effort'`);
  if (delivery !== 'best-effort' && overflow !== undefined) problems.push(`overflow is for delivery 'best-effort'`);
  if (buffer !== undefined && !(Number.isInteger(buffer) && buffer >= 1 && buffer <= 1_000_000))
    problems.push(`buffer is ${String(buffer)}; allowed: a whole number from 1 to 1,000,000`);
  if (
    schema !== undefined &&
    typeof (schema as { '~standard'?: { validate?: unknown } })['~standard']?.validate !== 'function'
  )
    problems.push('schema is not a Standard Schema (it has no ~standard.validate)');
  const ordered = (ordering ?? (key === undefined ? 'none' : 'key')) === 'key';
  if (delivery === 'best-effort' && ordered)
    problems.push(`delivery 'best-effort' may drop, so it can't keep order; say ordering: 'none'`);
  const known = new Set([
    'schema',
    'key',
    'ordering',
    'type',
    'codec',
    'delivery',
    'buffer',
    'overflow',
    'onKeyFailure',
  ]);
  for (const option of Object.keys(options))
    if (!known.has(option)) problems.push(`${option} is not an option of a topic; allowed: ${[...known].join(', ')}`);
  if (problems.length > 0) throw new WaybillError('invalid', `topic '${name}': ${problems.join('; ')}`);
  const codecs = (Array.isArray(codec) ? codec : [codec]).map((one: CodecName | Codec) =>
    typeof one === 'string' ? codecNamed(one, name) : one,
  );
  if (codecs[0] === undefined) throw new WaybillError('invalid', `topic '${name}': codec is an empty list; give one`);
  return Object.freeze({
    name,
    ordered,
    schema: schema ?? null,
    key: key ?? null,
    type: type ?? null,
    codecs: codecs as unknown as readonly [Codec, ...Codec[]],
    bestEffort: delivery === 'best-effort',
    buffer: buffer ?? 1_000,
    overflow: overflow ?? 'drop-oldest',
    onKeyFailure: onKeyFailure ?? 'reject',
  });
}
