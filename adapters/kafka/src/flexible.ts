import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import { WaybillError } from '@waybill/core/adapter';
import { Bytes } from './bytes.ts';
import type { Node, ProducerIdentity } from './client.ts';
import type { OffsetCommit } from './membership.ts';

/*
 * Two requests in newer versions than kafkajs has. It writes the header that all requests begin with and finds the
 * answer; these versions have lengths as varints, one more than they are, and may end each part with tagged fields, of
 * which none are used here. Layouts: the message definitions of Apache Kafka, TxnOffsetCommit 3 and OffsetFetch 7 (KIP-447).
 */
const TXN_OFFSET_COMMIT = { apiName: 'TxnOffsetCommit', apiKey: 28, apiVersion: 3 } as const;
const OFFSET_FETCH = { apiName: 'OffsetFetch', apiKey: 9, apiVersion: 7 } as const;

const { createErrorFromCode } = createRequire(import.meta.url)('kafkajs/src/protocol/error') as {
  createErrorFromCode: (code: number) => Error;
};

/** A member of a group, as it proves that it is one. */
export interface Identity {
  readonly groupId: string;
  readonly groupGenerationId: number;
  readonly memberId: string;
}

/**
 * Offsets that the group has when the transaction is committed. The coordinator refuses those of another generation:
 * UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION.
 */
export async function commitInTransaction(
  node: Node,
  { transactionalId, producerId, producerEpoch }: ProducerIdentity,
  { groupId, groupGenerationId, memberId }: Identity,
  topics: readonly OffsetCommit[],
): Promise<void> {
  const body = new Writer().text(transactionalId).text(groupId).int64(producerId).int16(producerEpoch);
  body.int32(groupGenerationId).text(memberId).text(null);
  body.array(topics, ({ topic, partitions }) => {
    body.text(topic).array(partitions, ({ partition, offset }) => {
      body.int32(partition).int64(offset).int32(-1).text(null).tags();
    });
    body.tags();
  });
  await ask(node, TXN_OFFSET_COMMIT, body.tags(), (answer) => {
    answer.int32(); // throttle
    answer.array(() => {
      answer.compactText();
      answer.array(() => {
        answer.int32();
        answer.check(answer.int16());
        answer.tags();
      });
      answer.tags();
    });
    return {};
  });
}

/**
 * What a group has committed in these partitions, -1 for nothing.
 *
 * @throws the client's UNSTABLE_OFFSET_COMMIT while a transaction that would change it is not decided
 */
export async function fetchStableOffsets(
  node: Node,
  groupId: string,
  topic: string,
  partitions: readonly number[],
): Promise<ReadonlyMap<number, bigint>> {
  const body = new Writer();
  body.text(groupId).array([topic], () => {
    body.text(topic).array(partitions, (partition) => body.int32(partition));
    body.tags();
  });
  body.int8(1).tags(); // require stable
  return ask(node, OFFSET_FETCH, body, (answer) => {
    const offsets = new Map<number, bigint>();
    answer.int32(); // throttle
    answer.array(() => {
      answer.compactText();
      answer.array(() => {
        const partition = answer.int32();
        offsets.set(partition, answer.int64());
        answer.int32(); // leader epoch
        answer.compactText();
        answer.check(answer.int16());
        answer.tags();
      });
      answer.tags();
    });
    answer.check(answer.int16());
    return offsets;
  });
}

/** @throws WaybillError `unsupported` when the broker is older than these versions, 2.5 */
async function ask<T extends object>(
  node: Node,
  api: typeof TXN_OFFSET_COMMIT | typeof OFFSET_FETCH,
  body: Writer,
  read: (answer: Answer) => T,
): Promise<T> {
  const newest = node.versions?.[api.apiKey]?.maxVersion ?? 0;
  if (newest < api.apiVersion)
    throw new WaybillError(
      'unsupported',
      `kafka: the broker knows ${api.apiName} to version ${newest}; transactions need ${api.apiVersion}`,
    );
  const bytes = body.bytes();
  return node.connectionPool.send({
    request: { ...api, encode: () => Promise.resolve({ buf: bytes, buffer: bytes }) },
    response: {
      decode: (raw) => {
        const answer = new Answer(raw);
        answer.tags(); // the header's
        return Promise.resolve(read(answer));
      },
      parse: (answer) => Promise.resolve(answer),
    },
  });
}

class Writer {
  /** The header ends with tagged fields: none. */
  readonly #parts: Buffer[] = [Buffer.of(0)];

  int8(value: number): this {
    return this.#add(1, (part) => part.writeInt8(value));
  }

  int16(value: number): this {
    return this.#add(2, (part) => part.writeInt16BE(value));
  }

  int32(value: number): this {
    return this.#add(4, (part) => part.writeInt32BE(value));
  }

  int64(value: string): this {
    return this.#add(8, (part) => part.writeBigInt64BE(BigInt(value)));
  }

  text(value: string | null): this {
    const bytes = Buffer.from(value ?? '');
    this.#varint(value === null ? 0 : bytes.length + 1);
    this.#parts.push(bytes);
    return this;
  }

  array<T>(items: readonly T[], write: (item: T) => unknown): this {
    this.#varint(items.length + 1);
    for (const item of items) write(item);
    return this;
  }

  tags(): this {
    return this.int8(0);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest > 127; rest >>>= 7) this.#parts.push(Buffer.of((rest & 127) | 128));
    this.#parts.push(Buffer.of(rest));
  }

  #add(size: number, write: (part: Buffer) => unknown): this {
    const part = Buffer.alloc(size);
    write(part);
    this.#parts.push(part);
    return this;
  }
}

class Answer extends Bytes {
  compactText(): string {
    return this.text(Math.max(0, this.#unsigned() - 1));
  }

  array(read: () => void): void {
    for (let left = this.#unsigned() - 1; left > 0; left--) read();
  }

  tags(): void {
    for (let left = this.#unsigned(); left > 0; left--) {
      this.#unsigned();
      this.at += this.#unsigned();
    }
  }

  /** @throws the client's error for a code that is one */
  check(code: number): void {
    if (code !== 0) throw createErrorFromCode(code);
  }

  #unsigned(): number {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.buffer.readUInt8(this.at++);
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
}
