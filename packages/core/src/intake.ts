import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Codec } from './codec.ts';
import type { Control, Delivery, Headers } from './contract.ts';
import { WaybillError } from './errors.ts';
import type { Held } from './held.ts';
import type { Message } from './message.ts';
import { DEFAULTS } from './options.ts';
import type { Topic } from './topic.ts';

/** A delivery as a handler sees it. A class of stable shape; what few read is made only for them. */
class ReceivedMessage<T> implements Message<T> {
  readonly id: string;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly headers: Headers;
  readonly payload: T;
  readonly #delivery: Delivery;

  constructor(delivery: Delivery, payload: T) {
    this.id = delivery.id;
    this.key = delivery.key;
    this.type = delivery.type;
    this.source = delivery.source;
    this.headers = delivery.headers;
    this.payload = payload;
    this.#delivery = delivery;
  }

  get time(): Date {
    return new Date(this.#delivery.time);
  }

  get raw(): unknown {
    return this.#delivery.raw;
  }
}

/** The control headers that count on this delivery: core's own only where core alone writes them (design: wire headers). */
export function trusted(delivery: Delivery): Control | null {
  const { control } = delivery;
  if (control === null || delivery.origin === 'inbox') return control;
  return control.expires === undefined ? null : { expires: control.expires };
}

/** Whether a stranger wrote control headers that only core may write: they are left out, and counted. */
export function isForged(delivery: Delivery): boolean {
  const { control } = delivery;
  if (control === null || delivery.origin === 'inbox') return false;
  return (
    control.attempt !== undefined ||
    control.notBefore !== undefined ||
    control.group !== undefined ||
    control.dead !== undefined
  );
}

/** The header out of bound that makes a delivery poison (R8), or null. */
function malformedControl(delivery: Delivery): string | null {
  const malformed = delivery.control?.malformed;
  if (malformed === undefined) return null;
  return delivery.origin === 'inbox' || malformed === 'waybill-expires' ? malformed : null;
}

/**
 * Decodes and validates. Sets `held.message`, or returns why it is poison. A promise only where the schema needs one:
 * an await per message would cost more than the check.
 */
export function decode(held: Held, topic: Topic<unknown, unknown>): WaybillError | null | Promise<WaybillError | null> {
  const { delivery } = held;
  if (held.message !== null) return null;
  let payload: unknown;
  try {
    const malformed = malformedControl(delivery);
    if (malformed !== null) return poison(delivery, `header '${malformed}' is out of bound`);
    if (delivery.body.byteLength > DEFAULTS.maxDecodedBytes)
      return poison(
        delivery,
        `its body has ${delivery.body.byteLength} bytes; at most ${DEFAULTS.maxDecodedBytes} are decoded`,
      );
    const codec = codecFor(topic, delivery.contentType);
    if (codec === null) {
      const listed = topic.codecs.map((one) => one.contentType).join(', ');
      return poison(
        delivery,
        `its content type '${String(delivery.contentType)}' has no codec; topic '${topic.name}' lists: ${listed}`,
      );
    }
    payload = codec.decode(delivery.body);
    if (topic.schema === null) {
      held.message = new ReceivedMessage(delivery, payload);
      return null;
    }
    const result = topic.schema['~standard'].validate(payload);
    if (result instanceof Promise)
      return result.then(
        (settled) => accept(held, settled),
        (error: unknown) => poison(delivery, 'its schema check failed', error),
      );
    return accept(held, result);
  } catch (error) {
    return poison(delivery, 'it can not be decoded', error);
  }
}

function accept(held: Held, result: StandardSchemaV1.Result<unknown>): WaybillError | null {
  if (result.issues !== undefined)
    return poison(held.delivery, `its payload does not match the schema: ${issuesText(result.issues)}`);
  held.message = new ReceivedMessage(held.delivery, result.value);
  return null;
}

function codecFor(topic: Topic<unknown, unknown>, contentType: string | null): Codec | null {
  const [first] = topic.codecs;
  if (contentType === null || contentType === first.contentType) return first;
  return topic.codecs.find((codec) => mediaType(codec.contentType) === mediaType(contentType)) ?? null;
}

/** Without parameters: `text/plain; charset=utf-8` and `text/plain` are one. */
function mediaType(type: string): string {
  return (type.split(';', 1)[0] as string).trim().toLowerCase();
}

function poison(delivery: Delivery, why: string, cause?: unknown): WaybillError {
  const said = cause instanceof Error ? `: ${cause.message}` : '';
  return new WaybillError(
    'invalid',
    `message ${delivery.id} is poison: ${why}${said}`,
    cause === undefined ? undefined : { cause },
  );
}

/** Schema issues as one line: path and message, at most five. Payload values are not in it. */
export function issuesText(issues: readonly StandardSchemaV1.Issue[]): string {
  const lines = issues.slice(0, 5).map((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  if (issues.length > lines.length) lines.push(`and ${issues.length - lines.length} more`);
  return lines.join('; ');
}
