import type { Buffer } from 'node:buffer';

/** Reads numbers and text as Kafka writes them, one after the other. */
export class Bytes {
  readonly buffer: Buffer;
  /** Where it reads next. */
  at: number;

  constructor(buffer: Buffer, at = 0) {
    this.buffer = buffer;
    this.at = at;
  }

  int16(): number {
    this.at += 2;
    return this.buffer.readInt16BE(this.at - 2);
  }

  int32(): number {
    this.at += 4;
    return this.buffer.readInt32BE(this.at - 4);
  }

  int64(): bigint {
    this.at += 8;
    return this.buffer.readBigInt64BE(this.at - 8);
  }

  /** Of up to 53 bits, which lengths, deltas of offsets and of times are. */
  varint(): number {
    const { buffer } = this;
    let byte = buffer[this.at++] as number;
    let value = byte & 127;
    for (let scale = 128; byte > 127; scale *= 128) {
      byte = buffer[this.at++] as number;
      value += (byte & 127) * scale;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  text(length: number): string {
    this.at += length;
    return this.buffer.toString('utf8', this.at - length, this.at);
  }

  /** A part of these bytes, not a copy. */
  view(length: number): Buffer {
    this.at += length;
    return this.buffer.subarray(this.at - length, this.at);
  }
}
