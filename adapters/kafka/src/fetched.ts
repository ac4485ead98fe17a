import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { WaybillError } from '@waybill/core/adapter';
import { Bytes } from './bytes.ts';

/*
 * The answer to a fetch (version 11), down to record batches. kafkajs would make an object of every record, with long
 * integers, a copy of the headers for each header, and its batch's fields: that costs more than all that is done with a
 * message here. So records stay bytes until they are handed out.
 */

/** Codecs by their number, with those that the program has registered. */
const { CompressionCodecs } = createRequire(import.meta.url)('kafkajs') as {
  readonly CompressionCodecs: Readonly<Record<number, () => { decompress(bytes: Buffer): Promise<Buffer> }>>;
};
const CODEC = 0x07;
const APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
/** Of a batch before its records. */
const HEADER = 61;
/** Up to the number of its format, which is at the same place in all of them. */
const TO_FORMAT = 17;

export interface RecordBatch {
  readonly base: bigint;
  /** Of its last record, or what was its last one before compaction, less `base`. */
  readonly lastDelta: number;
  /** What the times of its records are counted from: ms. */
  readonly time: number;
  /** Where the broker keeps the time of the append, that; else null. */
  readonly appended: number | null;
  readonly producer: bigint;
  readonly transactional: boolean;
  /** It ends a transaction. */
  readonly control: boolean;
  readonly count: number;
  readonly records: Buffer;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  /** Behind the last record that can be read. */
  readonly readable: bigint;
  readonly aborted: readonly { readonly producer: bigint; readonly first: bigint }[];
  readonly batches: readonly RecordBatch[];
}

export interface FetchAnswer {
  /** The broker has not held the answer back; the client is to wait. In kafkajs' words, and for it. */
  readonly throttleTime: 0;
  readonly clientSideThrottleTime: number;
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[];
}

export async function decodeFetch(answer: Buffer): Promise<FetchAnswer> {
  const from = new Bytes(answer);
  const clientSideThrottleTime = from.int32();
  from.at += 6; // an error and an id, of sessions, which nobody has asked for
  const responses: { topicName: string; partitions: FetchedPartition[] }[] = [];
  for (let topics = from.int32(); topics > 0; topics--) {
    const topicName = from.text(from.int16());
    const partitions: FetchedPartition[] = [];
    for (let count = from.int32(); count > 0; count--) partitions.push(await partitionIn(from));
    responses.push({ topicName, partitions });
  }
  return { throttleTime: 0, clientSideThrottleTime, responses };
}

async function partitionIn(from: Bytes): Promise<FetchedPartition> {
  const partition = from.int32();
  const errorCode = from.int16();
  from.at += 8; // the high watermark
  const readable = from.int64();
  from.at += 8; // the first offset
  const aborted: { producer: bigint; first: bigint }[] = [];
  for (let count = from.int32(); count > 0; count--) aborted.push({ producer: from.int64(), first: from.int64() });
  from.at += 4; // a nearer replica
  const size = Math.max(0, from.int32());
  return { partition, errorCode, readable, aborted, batches: await batchesIn(from.view(size)) };
}

/** All that are whole: the last one may be cut off by the size that was asked for. */
export async function batchesIn(bytes: Buffer): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = [];
  for (let at = 0; at + TO_FORMAT <= bytes.length;) {
    const format = bytes.readInt8(at + TO_FORMAT - 1);
    if (format !== 2)
      throw new WaybillError(
        'unsupported',
        `kafka: a batch has the message format ${format}, of brokers before 0.11, which can't be read here`,
      );
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    const attributes = bytes.readInt16BE(at + 21);
    const codec = attributes & CODEC;
    const records = bytes.subarray(at + HEADER, end);
    batches.push({
      base: bytes.readBigInt64BE(at),
      lastDelta: bytes.readInt32BE(at + 23),
      time: Number(bytes.readBigInt64BE(at + 27)),
      appended: (attributes & APPEND_TIME) > 0 ? Number(bytes.readBigInt64BE(at + 35)) : null,
      producer: bytes.readBigInt64BE(at + 43),
      transactional: (attributes & TRANSACTIONAL) > 0,
      control: (attributes & CONTROL) > 0,
      count: bytes.readInt32BE(at + 57),
      records: codec === 0 || records.length === 0 ? records : await decompressed(codec, records),
    });
    at = end;
  }
  return batches;
}

async function decompressed(codec: number, bytes: Buffer): Promise<Buffer> {
  const make = CompressionCodecs[codec];
  if (make === undefined) throw new WaybillError('unsupported', `kafka: a batch is compressed with codec ${codec}`);
  return make().decompress(bytes);
}
