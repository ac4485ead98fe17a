import type { Destination, Headers, OutgoingMessage } from './contract.ts';
import { type PublishError, WaybillError } from './errors.ts';
import type { Published } from './message.ts';
import type { Supports } from './supports.ts';
import { headerBytes, RESERVED_PREFIX } from './wire.ts';

/** One message on its way to the broker, and who waits for it. */
export class Outgoing {
  readonly message: OutgoingMessage;
  readonly destination: Destination;
  /** What it takes in the publish buffer. */
  readonly bytes: number;
  /** P3: an ended failure of this key rejects what was accepted behind it. */
  readonly guardsKey: boolean;
  /** Who waits for its outcome; null for an `offer`, which nobody waits for. */
  readonly waiter: Waiter | null;
  /** Stops listening to the caller's signal. */
  unwatch: (() => void) | null = null;
  /** The publisher's tick at which it was accepted: the publish timeout counts from here. */
  tick = 0;
  /** True once some call for it ended unknown: then it may be stored, whatever later calls say. */
  maybeStored = false;
  /** The last reason it was not confirmed. */
  error: WaybillError | null = null;
  ended = false;

  constructor(message: OutgoingMessage, destination: Destination, guardsKey: boolean, waiter: Waiter | null) {
    this.message = message;
    this.destination = destination;
    this.bytes = message.body.byteLength + 256;
    this.guardsKey = guardsKey && message.key !== null;
    this.waiter = waiter;
  }
}

/** The two ends of a publish's promise. */
export interface Waiter {
  readonly resolve: (published: Published) => void;
  readonly reject: (error: PublishError) => void;
}

const strictText = new TextDecoder('utf-8', { fatal: true });

/** Everything that can be known to be wrong before anything is sent (P5). Returns null when it may go. */
export function refusal(message: OutgoingMessage, destination: Destination, supports: Supports): WaybillError | null {
  const limits = supports.publish;
  const size = message.body.byteLength;
  if (size > Math.min(limits.size.text, limits.size.binary)) {
    // Only a body between the two limits needs the look at its bytes.
    const limit =
      limits.size.text === limits.size.binary || !isText(message.body) ? limits.size.binary : limits.size.text;
    if (size > limit)
      return new WaybillError(
        'too-large',
        `message for '${destination.name}' has ${size} bytes; ${supports.adapter} takes at most ${limit}`,
      );
  }
  const { headers } = message;
  let count = 0;
  for (const name of Object.keys(headers)) {
    count++;
    const problem = headerProblem(name, headers);
    if (problem !== null) return new WaybillError('invalid', `message for '${destination.name}': ${problem}`);
  }
  if (count > 0) {
    if (limits.headers.count !== null && count > limits.headers.count)
      return new WaybillError(
        'too-large',
        `message for '${destination.name}' has ${count} headers; ${supports.adapter} takes at most ${limits.headers.count}`,
      );
    if (limits.headers.bytes !== null) {
      const bytes = headerBytes(headers);
      if (bytes > limits.headers.bytes)
        return new WaybillError(
          'too-large',
          `message for '${destination.name}' has ${bytes} bytes of headers; ${supports.adapter} takes at most ${limits.headers.bytes}`,
        );
    }
  }
  return null;
}

/** Why nobody may publish a header of this name and value, or null. */
export function headerProblem(name: string, headers: Headers): string | null {
  if (name.length === 0 || name.length > 255) return `a header name has ${name.length} characters; allowed: 1 to 255`;
  const lower = name.toLowerCase();
  if (lower.startsWith(RESERVED_PREFIX))
    return `header '${name}' begins with '${RESERVED_PREFIX}', which is Waybill's own`;
  if (lower === 'content-type') return `header '${name}' is set by the topic's codec`;
  const value = headers[name];
  if (typeof value !== 'string' && !(value instanceof Uint8Array))
    return `header '${name}' is ${value === null ? 'null' : typeof value}; allowed: a string or a Uint8Array`;
  return null;
}

function isText(body: Uint8Array): boolean {
  try {
    strictText.decode(body);
    return true;
  } catch {
    return false;
  }
}
