import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import type { FetchedPartition, RecordBatch } from '../src/fetched.ts';

/*
 * Batches as kafkajs writes them: what is read here was written by another hand.
 */
const require = createRequire(import.meta.url);
const folder = 'kafkajs/src/protocol/recordBatch';
interface Encoded {
  readonly buffer: Buffer;
}
const encode = require(`${folder}/record/v0`) as (record: object) => Encoded;
const { RecordBatch: encodeBatch } = require(`${folder}/v0`) as { RecordBatch: (batch: object) => Promise<Encoded> };

export interface TestRecord {
  /** Of its offset, less that of its batch. */
  readonly delta: number;
  readonly key?: Buffer | string | null;
  readonly value?: Buffer | string | null;
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Later than its batch by so many ms. */
  readonly later?: number;
}

const recordsOf = (records: readonly TestRecord[]): Encoded[] =>
  records.map(({ delta, key = null, value = 'v', headers = {}, later = 0 }) =>
    encode({ offsetDelta: delta, timestampDelta: later, key, value, headers }),
  );

export function batch(base: bigint, records: readonly TestRecord[], over: Partial<RecordBatch> = {}): RecordBatch {
  return {
    base,
    lastDelta: records.at(-1)?.delta ?? 0,
    time: 1,
    appended: null,
    producer: -1n,
    transactional: false,
    control: false,
    count: records.length,
    records: Buffer.concat(recordsOf(records).map(({ buffer }) => buffer)),
    ...over,
  };
}

/** A batch with so many records, one an offset. */
export const filled = (base: bigint, count: number): RecordBatch =>
  batch(
    base,
    Array.from({ length: count }, (_, delta) => ({ delta })),
  );

/** As it lies in the log. */
export async function logged(base: bigint, records: readonly TestRecord[], gzip = false): Promise<Buffer> {
  const { buffer } = await encodeBatch({
    compression: gzip ? 1 : 0,
    firstTimestamp: 5,
    lastOffsetDelta: records.at(-1)?.delta ?? 0,
    records: recordsOf(records),
  });
  buffer.writeBigInt64BE(base);
  return buffer;
}

export const fetched = (
  batches: readonly RecordBatch[],
  readable: bigint,
  aborted: FetchedPartition['aborted'] = [],
): FetchedPartition => ({ partition: 0, errorCode: 0, readable, aborted, batches });
