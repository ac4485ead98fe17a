import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Duration, duration, formatDuration } from '../src/duration.ts';

test.each<[Duration, number]>([
  [0, 0],
  [250, 250],
  [0.5, 0.5],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ['50ms', 50],
  ['30s', 30_000],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['1.5h', 5_400_000],
  ['1.1s', 1_100],
])('%s is %i ms', (text, ms) => expect(duration(text)).toBe(ms));

test.each([
  '30',
  's',
  '',
  '-1s',
  '1 s',
  '1S',
  '1w',
  '1e3s',
  '0x1s',
  '.5s',
  '1s ',
  '1s\n',
  'Infinitys',
  '9999999999999999d',
  -1,
  Number.NaN,
  Infinity,
  2 ** 53,
  null,
  undefined,
  {},
  5n,
])('refuses %s', (bad) => {
  expect(() => duration(bad as Duration, 'retry.initial')).toThrow(
    expect.objectContaining({
      code: 'invalid',
      message: expect.stringMatching(/^retry\.initial is .*; allowed: .*ms, s, m, h, d/) as string,
    }),
  );
});

test.each([
  [0, '0ms'],
  [1_500, '1500ms'],
  [90_000, '90s'],
  [3_600_000, '1h'],
  [5_400_000, '90m'],
  [604_800_000, '7d'],
  [12.4, '12ms'],
])('%i ms is written %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test('what is written reads back', () => {
  fc.assert(fc.property(fc.oneof(fc.nat(), fc.maxSafeNat()), (ms) => duration(formatDuration(ms)) === ms));
});
