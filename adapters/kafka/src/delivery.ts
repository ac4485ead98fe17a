import { Buffer, isUtf8 } from 'node:buffer';
import {
  type Control,
  decodeWire,
  type Delivery,
  type Headers,
  type HeaderValue,
  type Position,
} from '@waybill/core/adapter';
import { Bytes } from './bytes.ts';
import { BINARY } from './record.ts';
import type { Records } from './records.ts';
import type { Stream } from './stream.ts';

/** Begins the text that stands for a foreign key that is no text. No UTF-8 key is mistaken for one: such a key is encoded, too. */
const BYTES = 'base64\u0000';
/** Stands in a text for bytes that are no UTF-8, or for itself. */
const REPLACED = '\ufffd';
const EMPTY = Buffer.alloc(0);

/** What settles a delivery, and with it everything before it in its partition. Small: it outlives the delivery. */
export class OffsetReceipt {
  readonly stream: Stream;
  /** Counts what was handed out of this partition. */
  readonly sequence: number;
  readonly #base: bigint;
  readonly #delta: number;

  /** @param delta Where the group goes on when this is settled, less `base`. */
  constructor(stream: Stream, sequence: number, base: bigint, delta: number) {
    this.stream = stream;
    this.sequence = sequence;
    this.#base = base;
    this.#delta = delta;
  }

  get next(): bigint {
    return this.#base + BigInt(this.#delta);
  }
}

/**
 * The message in a record, ours or another program's. Nothing in it keeps the answer alive that it came in, and what few
 * read is made for them only.
 */
export class KafkaDelivery implements Delivery {
  readonly id: string;
  readonly time: number;
  readonly key: string | null;
  readonly type: string | null;
  readonly source: string | null;
  readonly contentType: string | null;
  readonly headers: Headers;
  readonly control: Control | null;
  readonly body: Uint8Array;
  readonly receipt: OffsetReceipt;
  readonly origin: Delivery['origin'];
  readonly partition: number;
  readonly deliveryCount: null = null;
  readonly storedAttempt: null = null;
  readonly leaseUntil: null = null;
  readonly fence: null = null;
  readonly #base: bigint;
  readonly #delta: number;
  readonly #timestamp: number;
  readonly #tombstone: boolean;

  constructor(
    receipt: OffsetReceipt,
    { fields, base, delta, time }: Pick<Records, 'fields' | 'base' | 'delta' | 'time'>,
  ) {
    const { topic, partition, origin } = receipt.stream;
    this.key = keyIn(fields);
    const size = fields.varint();
    this.body = size <= 0 ? EMPTY : Buffer.from(fields.view(size));
    const wire = decodeWire(headersIn(fields));
    this.id = wire.id ?? `${topic}-${partition}-${base + BigInt(delta)}`;
    this.time = wire.time ?? time;
    this.type = wire.type;
    this.source = wire.source;
    this.contentType = wire.contentType;
    this.headers = wire.headers;
    this.control = wire.control;
    this.receipt = receipt;
    this.origin = origin;
    this.partition = partition;
    this.#base = base;
    this.#delta = delta;
    this.#timestamp = time;
    this.#tombstone = size < 0;
  }

  get position(): Position {
    return { [this.partition]: this.#offset };
  }

  get raw(): unknown {
    const { topic, partition } = this.receipt.stream;
    return { topic, partition, offset: this.#offset, timestamp: String(this.#timestamp), tombstone: this.#tombstone };
  }

  get #offset(): string {
    return String(this.#base + BigInt(this.#delta));
  }
}

function keyIn(fields: Bytes): string | null {
  const size = fields.varint();
  if (size < 0) return null;
  const text = fields.text(size);
  if (!text.includes(REPLACED) && !text.startsWith(BYTES)) return text;
  const key = fields.buffer.subarray(fields.at - size, fields.at);
  return isUtf8(key) && !text.startsWith(BYTES) ? text : BYTES + key.toString('base64');
}

/** Of headers of one name the last counts. What a stranger sends is text where it is valid UTF-8. */
function headersIn(fields: Bytes): (readonly [string, HeaderValue])[] {
  const pairs: [string, HeaderValue][] = [];
  const first = fields.at;
  let binary: Set<unknown> | null = null;
  for (let count = fields.varint(); count > 0; count--) {
    const name = fields.text(fields.varint());
    const size = Math.max(0, fields.varint());
    const text = fields.text(size);
    if (name === BINARY) binary = namesIn(text);
    const garbled = text.includes(REPLACED) && !isOurs(name);
    const bytes = garbled ? fields.buffer.subarray(fields.at - size, fields.at) : null;
    pairs.push([name, bytes !== null && !isUtf8(bytes) ? Buffer.from(bytes) : text]);
  }
  if (binary !== null) bringBack(pairs, binary, new Bytes(fields.buffer, first));
  return pairs;
}

/** Which headers are bytes is said behind them. */
function bringBack(pairs: [string, HeaderValue][], binary: ReadonlySet<unknown>, fields: Bytes): void {
  fields.varint();
  for (const pair of pairs) {
    fields.view(fields.varint());
    const bytes = fields.view(Math.max(0, fields.varint()));
    if (binary.has(pair[0])) pair[1] = Buffer.from(bytes);
  }
}

/** What Waybill writes there is text; what anybody else does is read as text. */
const isOurs = (name: string): boolean => name.startsWith('waybill-') || name === 'content-type';

function namesIn(list: string): Set<unknown> {
  try {
    const names: unknown = JSON.parse(list);
    return new Set(Array.isArray(names) ? names : []);
  } catch {
    return new Set();
  }
}
