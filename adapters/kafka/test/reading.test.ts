import { Buffer } from 'node:buffer';
import type { Delivery } from '@waybill/core/adapter';
import { describe, expect, test } from 'vitest';
import type { OutgoingRecord } from '../src/client.ts';
import { batchesIn } from '../src/fetched.ts';
import { recordOf } from '../src/record.ts';
import { Records } from '../src/records.ts';
import type { OffsetReceipt } from '../src/delivery.ts';
import { Stream } from '../src/stream.ts';
import { batch, fetched, filled, logged, type TestRecord } from './batches.ts';

describe('a record', () => {
  const message = {
    id: 'i1',
    time: 1_000,
    key: 'k',
    type: null,
    source: null,
    contentType: null,
    headers: { text: 'é', bytes: Buffer.from('plain'), empty: new Uint8Array(0) },
    control: null,
    body: Buffer.from('body'),
  };
  const read = (record: Omit<TestRecord, 'delta'>, time = 5): Delivery => {
    const stream = new Stream({ topic: 't', partition: 3, origin: 'topic', from: 9n, end: null });
    stream.add(fetched([batch(9n, [{ delta: 0, ...record }], { time })], 10n));
    return stream.takeAll(1)[0] as Delivery;
  };
  const back = ({ key, value, headers, timestamp }: OutgoingRecord): Delivery =>
    read({ key, value, headers }, Number(timestamp));

  test('carries a message there and back, bytes and text apart', () => {
    const delivery = back(recordOf(message, 2_000));
    expect(delivery).toMatchObject({ id: 'i1', time: 1_000, key: 'k', body: Buffer.from('body') });
    expect(delivery.raw).toEqual({ topic: 't', partition: 3, offset: '9', timestamp: '1000', tombstone: false });
    expect({ ...delivery.headers }).toEqual({ text: 'é', bytes: Buffer.from('plain'), empty: Buffer.alloc(0) });
  });

  test('of a time that Kafka would not keep has the present one, and the time in a header', () => {
    const now = 1_000_000_000_000;
    const record = recordOf(message, now);
    expect(record.timestamp).toBe(String(now));
    expect(back(record).time).toBe(1_000);
  });

  test('of a stranger has an id, and keys that are no text stay apart', () => {
    const keys = [Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from('base64\u0000/w=='), '\ufffd', 'a', null];
    const found = keys.map((key) => read({ key, value: null }));
    expect(new Set(found.map(({ key }) => key)).size).toBe(6);
    expect(found.map(({ key }) => key).slice(3)).toEqual(['\ufffd', 'a', null]);
    expect(found[0]).toMatchObject({ id: 't-3-9', time: 5, body: Buffer.alloc(0), raw: { tombstone: true } });
  });

  test('of one header name has the last, and names that every object has are names', () => {
    const headers = { constructor: 'x', twice: ['a', 'b'], bytes: Buffer.from([0xfe]) };
    expect({ ...read({ headers }).headers }).toEqual({ constructor: 'x', twice: 'b', bytes: Buffer.from([0xfe]) });
  });

  test('keeps nothing alive of the answer that it came in', () => {
    const { body } = read({ value: 'v'.repeat(10_000) });
    expect(body.buffer.byteLength).toBeLessThan(10_100);
  });
});

describe('batches in the log', () => {
  const three = [{ delta: 0, key: 'a' }, { delta: 1, later: 3_000_000_000 }, { delta: 7 }];
  const timesOf = (batches: Awaited<ReturnType<typeof batchesIn>>): [string, number][] => {
    const records = new Records();
    records.push(batches, 0n, null);
    const found: [string, number][] = [];
    for (; records.more; records.advance()) found.push([String(records.base + BigInt(records.delta)), records.time]);
    return found;
  };

  test.each([false, true])('are read record by record; compressed: %s', async (gzip) => {
    const bytes = Buffer.concat([await logged(10n, three, gzip), await logged(2n ** 53n + 1n, [{ delta: 0 }], gzip)]);
    expect(timesOf(await batchesIn(bytes))).toEqual([
      ['10', 5],
      ['11', 3_000_000_005],
      ['17', 5],
      ['9007199254740993', 5],
    ]);
  });

  test('may be cut off at the end', async () => {
    const [first, second] = [await logged(0n, three), await logged(8n, three)];
    for (const size of [0, 1, 16, 17, 61, second.length - 1]) {
      const batches = await batchesIn(Buffer.concat([first, second.subarray(0, size)]));
      expect(batches.map(({ base }) => base)).toEqual([0n]);
    }
    expect(await batchesIn(first.subarray(0, 70))).toEqual([]);
  });

  test('have times of the append where the broker keeps those', async () => {
    const bytes = await logged(0n, three);
    bytes.writeInt16BE(0x08, 21);
    bytes.writeBigInt64BE(77n, 35);
    expect(timesOf(await batchesIn(bytes)).map(([, time]) => time)).toEqual([77, 77, 77]);
  });

  test('of another format, or in a codec that is not there, are refused by name', async () => {
    const [old, lz4, future] = [await logged(0n, three), await logged(0n, three), await logged(0n, three)];
    old[16] = 1;
    lz4.writeInt16BE(3, 21);
    future.writeInt16BE(7, 21);
    await expect(batchesIn(old)).rejects.toThrow(/message format 1/);
    await expect(batchesIn(lz4)).rejects.toThrow(/lz4/i);
    await expect(batchesIn(future)).rejects.toThrow(/codec 7/);
  });
});

describe('a stream', () => {
  const streamFrom = (from: bigint, end: bigint | null = null): Stream =>
    new Stream({ topic: 't', partition: 0, origin: 'topic', from, end });
  const take = (stream: Stream, max: number): OffsetReceipt[] => {
    const out: { receipt: unknown }[] = [];
    stream.take(max, out as never);
    return out.map(({ receipt }) => receipt as OffsetReceipt);
  };
  const offsets = (stream: Stream): string[] => stream.takeAll(1_000).map(({ position }) => position?.['0'] ?? '');

  test('goes behind what compaction removed at the end of a batch, and settles it with the last record', () => {
    const stream = streamFrom(0n);
    stream.add(fetched([batch(0n, [{ delta: 2 }, { delta: 5 }], { lastDelta: 9 }), filled(10n, 1)], 11n));
    expect(stream.position).toBe(11n);
    const [first, second, third] = take(stream, 10);
    stream.settle(first as OffsetReceipt);
    expect(stream.settled).toBe(3n);
    stream.settle(second as OffsetReceipt);
    expect(stream.settled).toBe(10n);
    stream.settle(third as OffsetReceipt);
    expect(stream.settled).toBe(11n);
  });

  test('goes behind a batch that compaction has emptied', () => {
    const stream = streamFrom(5n);
    expect(stream.add(fetched([batch(5n, [], { lastDelta: 3 })], 9n))).toBe(true);
    expect([stream.position, stream.settled, stream.waiting]).toEqual([9n, 9n, false]);
  });

  test('asks alone where an answer had no room for it, and every other time only', () => {
    const stream = streamFrom(5n);
    const said = [9n, 9n, 9n, 5n].map((readable) => [stream.add(fetched([], readable)), stream.starved]);
    expect(said).toEqual([
      [false, true],
      [false, false],
      [false, true],
      [false, false],
    ]);
  });

  test('begins in the middle of a batch, and ends in the middle of another', () => {
    const stream = streamFrom(3n, 12n);
    stream.add(fetched([filled(0n, 5), filled(5n, 5), filled(10n, 5), filled(15n, 5)], 20n));
    expect(offsets(stream)).toEqual(['3', '4', '5', '6', '7', '8', '9', '10', '11']);
    expect(stream.ended).toBe(true);
  });

  test('leaves out what aborted transactions wrote, interleaved ones and a key of zeros too', () => {
    const stream = streamFrom(0n);
    const zeros = Buffer.from([0, 0, 0, 0]);
    const [a, b] = [1n, 2n];
    const of = (base: bigint, producer: bigint, key: Buffer | null = null) =>
      batch(base, [{ delta: 0, key }], { producer, transactional: true });
    const end = (base: bigint, producer: bigint) => ({ ...of(base, producer, zeros), control: true });
    const batches = [of(0n, a), of(1n, b), of(2n, a, zeros), of(3n, a), end(4n, a), of(5n, b), end(6n, b)];
    const aborted = [
      { producer: b, first: 1n },
      { producer: a, first: 0n },
    ];
    stream.add(fetched([...batches, filled(7n, 1), of(8n, a)], 9n, aborted));
    expect(offsets(stream)).toEqual(['7', '8']);
  });

  test('leaves out the end of a transaction that was committed, and keeps its messages', () => {
    const stream = streamFrom(0n);
    const commit = batch(1n, [{ delta: 0, key: Buffer.from([0, 0, 0, 1]) }], { control: true, transactional: true });
    stream.add(fetched([batch(0n, [{ delta: 0 }], { transactional: true }), commit], 2n));
    const [only] = take(stream, 10);
    stream.settle(only as OffsetReceipt);
    expect(stream.settled).toBe(2n);
  });

  test('keeps offsets beyond what a number holds', () => {
    const big = 2n ** 53n + 3n;
    const stream = streamFrom(big);
    stream.add(fetched([filled(big, 1)], big + 1n));
    stream.settle(take(stream, 1)[0] as OffsetReceipt);
    expect([stream.position, stream.settled]).toEqual([big + 1n, big + 1n]);
  });

  test('hands out no more than its span while the head is unsettled', () => {
    const stream = streamFrom(0n);
    stream.add(fetched([filled(0n, 12_000)], 12_000n));
    const first = take(stream, 20_000);
    expect(first).toHaveLength(10_000);
    stream.settle(first[4_999] as OffsetReceipt);
    expect(take(stream, 20_000)).toHaveLength(2_000);
  });

  test('counts the bytes that wait, down to none', () => {
    const stream = streamFrom(0n);
    stream.add(fetched([filled(0n, 10), filled(10n, 10)], 20n));
    const all = stream.bytes;
    take(stream, 5);
    expect(stream.bytes).toBeLessThan(all);
    expect(stream.bytes).toBeGreaterThan(all / 2);
    take(stream, 15);
    expect(stream.bytes).toBe(0);
  });

  test('settles nothing that it had fetched and not handed out when it was stopped', () => {
    const stream = streamFrom(0n);
    stream.add(fetched([filled(0n, 3)], 3n));
    const [first] = take(stream, 1);
    stream.stop();
    stream.settle(first as OffsetReceipt);
    expect(stream.settled).toBe(1n);
  });
});
