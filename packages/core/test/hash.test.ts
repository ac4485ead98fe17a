import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { sendIdOf } from '../src/hash.ts';

test('is stable: brokers remember it across versions of this program', () => {
  const digest = createHash('sha256').update('["m1","orders__inventory__dlq","3:42"]').digest();
  expect(sendIdOf('m1', 'orders__inventory__dlq', '3:42')).toBe(digest.subarray(0, 16).toString('base64url'));
  expect(sendIdOf('m1', 'orders__inventory__dlq', '3:42')).toMatch(/^[\w-]{22}$/);
});

test('differs whenever a part differs, wherever the parts are cut', () => {
  const parts = fc.tuple(
    ...[0, 1, 2].map(() => fc.string({ unit: fc.constantFrom('a', '"', ',', '\ud800', '\ud801'), maxLength: 3 })),
  );
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const same = a.every((part, index) => part === b[index]);
      expect(sendIdOf(...(a as [string, string, string])) === sendIdOf(...(b as [string, string, string]))).toBe(same);
    }),
    { numRuns: 2_000 },
  );
});
