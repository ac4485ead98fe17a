import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { murmur2, partitionOf } from '../src/murmur2.ts';

// org.apache.kafka.common.utils.UtilsTest, testMurmur2
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('the Java client says %s → %i', (key, expected) => expect(murmur2(key)).toBe(expected));

const word = (value: bigint): bigint => BigInt.asUintN(32, value);
const multiply = (value: bigint): bigint => word(value * 0x5bd1e995n);

/** Another road to the same number: bytes, and 32-bit arithmetic done in BigInt. */
function reference(bytes: Uint8Array): number {
  let hash = word(0x9747b28cn ^ BigInt(bytes.length));
  const whole = Math.floor(bytes.length / 4) * 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < whole; at += 4) {
    let k = multiply(BigInt(view.getUint32(at, true)));
    k = multiply(k ^ (k >> 24n));
    hash = multiply(hash) ^ k;
  }
  const rest = [...bytes.subarray(whole)];
  if (rest.length > 0) {
    for (const [index, byte] of rest.entries()) hash ^= BigInt(byte) << BigInt(8 * index);
    hash = multiply(hash);
  }
  hash = multiply(hash ^ (hash >> 13n));
  hash ^= hash >> 15n;
  return Number(BigInt.asIntN(32, hash));
}

test.each(['ascii', 'latin', 'any'] as const)('equals an independent implementation over bytes: %s', (kind) => {
  const unit = {
    ascii: fc.integer({ min: 0, max: 0x7f }).map((code) => String.fromCharCode(code)),
    latin: fc.integer({ min: 0, max: 0xff }).map((code) => String.fromCharCode(code)),
    any: fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  }[kind];
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 40, size: 'max' }), (key) => {
      expect(murmur2(key)).toBe(reference(new TextEncoder().encode(key)));
    }),
    { numRuns: 400 },
  );
});

test('the partition is never negative and is the one Kafka chooses', () => {
  expect(partitionOf('foobar', 12)).toBe((-790332482 & 0x7fffffff) % 12);
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 1_000 }), (key, count) => {
      const partition = partitionOf(key, count);
      expect(partition >= 0 && partition < count && Number.isInteger(partition)).toBe(true);
    }),
  );
});
