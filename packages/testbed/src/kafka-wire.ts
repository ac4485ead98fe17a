import { Buffer } from 'node:buffer';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Place } from './recipe.ts';

/** Requests of Kafka's protocol that the testbed makes or looks at, by their keys. */
export const KAFKA_API = {
  metadata: 3,
  findCoordinator: 10,
  listGroups: 16,
  apiVersions: 18,
  deleteTopics: 20,
  createAcls: 30,
  deleteGroups: 42,
  alterScram: 51,
  describeCluster: 60,
} as const;

/** What a request is made of, in the order of the protocol: big-endian numbers, strings, arrays with their lengths. */
export class KafkaWriter {
  readonly #parts: Buffer[] = [];

  int8(value: number): this {
    return this.#add(1, (bytes) => bytes.writeInt8(value));
  }

  int16(value: number): this {
    return this.#add(2, (bytes) => bytes.writeInt16BE(value));
  }

  int32(value: number): this {
    return this.#add(4, (bytes) => bytes.writeInt32BE(value));
  }

  /** The numbers of the newer versions: seven bits a byte, the low ones first. */
  varint(value: number): this {
    const bytes: number[] = [];
    for (let rest = value; ; rest >>>= 7) {
      bytes.push(rest > 127 ? (rest & 127) | 128 : rest);
      if (rest <= 127) break;
    }
    return this.raw(Buffer.from(bytes));
  }

  string(text: string): this {
    const bytes = Buffer.from(text);
    return this.int16(bytes.length).raw(bytes);
  }

  /** A string, or bytes, as the newer versions have them. */
  compact(value: string | Buffer): this {
    const bytes = Buffer.from(value as string);
    return this.varint(bytes.length + 1).raw(bytes);
  }

  strings(texts: readonly string[]): this {
    this.int32(texts.length);
    for (const text of texts) this.string(text);
    return this;
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes);
    return this;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #add(size: number, write: (bytes: Buffer) => void): this {
    const bytes = Buffer.alloc(size);
    write(bytes);
    return this.raw(bytes);
  }
}

/** Reads an answer in the order of the protocol. */
export class KafkaReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#move(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#move(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#move(4));
  }

  string(): string {
    const length = Math.max(0, this.int16()); // -1 is null
    const start = this.#move(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  varint(): number {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.int8();
      value += (byte & 127) * 2 ** shift;
      if (byte >= 0) return value;
    }
  }

  /** Text, as the newer versions have it. */
  compact(): string {
    const length = Math.max(0, this.varint() - 1);
    const start = this.#move(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, item);
  }

  #move(size: number): number {
    this.#at += size;
    return this.#at - size;
  }
}

export interface KafkaRequest {
  readonly api: number;
  readonly version: number;
  /** Of the header: from version 2 on it ends with tagged fields. Default 1. */
  readonly header?: 1 | 2;
  readonly body: KafkaWriter;
}

/**
 * One request on a connection of its own; resolves with the answer behind its correlation id. The testbed asks few
 * questions, and must not lean on the client under test.
 *
 * @param timeout Milliseconds.
 */
export function askKafka(
  place: Place,
  request: KafkaRequest,
  timeout: number,
  tls: TlsFiles = null,
): Promise<KafkaReader> {
  return new Promise((resolve, reject) => {
    const socket: Socket = tls === null ? connectPlain(place) : connectTls({ ...place, ...tls });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    let got: Buffer = Buffer.alloc(0);
    socket.setTimeout(timeout, () => fail(new Error(`no answer within ${timeout} ms`)));
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('the connection was closed without an answer')));
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < 8) return;
      const size = got.readInt32BE(0);
      if (size < 4 || size > 100_000_000 || got.readInt32BE(4) !== correlation)
        fail(new Error('the answer is not that of a Kafka broker'));
      else if (got.length >= 4 + size) {
        socket.destroy();
        resolve(new KafkaReader(got.subarray(8, 4 + size)));
      }
    });
    socket.write(frameOf(request));
  });
}

/** Null: no TLS. */
export type TlsFiles = {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
} | null;

const correlation = 0x57_42_01;

function frameOf({ api, version, header = 1, body }: KafkaRequest): Buffer {
  const head = new KafkaWriter().int16(api).int16(version).int32(correlation).string('waybill-testbed');
  const rest = Buffer.concat([head.bytes(), header === 2 ? Buffer.alloc(1) : Buffer.alloc(0), body.bytes()]);
  return new KafkaWriter().int32(rest.length).raw(rest).bytes();
}
