import { expect, test } from 'vitest';
import { startPosition } from '../src/start.ts';

test.each(['held', 'earliest', 'latest', { time: 0 }, { time: 1_700_000_000_000 }, { position: { 0: '7', 3: '9' } }])(
  '%o is a start',
  (start) => {
    expect(startPosition(start, 'start')).toEqual(start);
  },
);

test('a Date is its time', () => {
  expect(startPosition(new Date(5), 'start')).toEqual({ time: 5 });
});

test.each([
  'begin',
  '',
  undefined,
  null,
  7,
  new Date(Number.NaN),
  {},
  { tme: 5 },
  { time: -1 },
  { time: '5' },
  { time: 5, position: { 0: '7' } },
  { position: {} },
  { position: { 0: 7 } },
])('%o is none, and is named', (start) => {
  expect(() => startPosition(start, 'seek')).toThrow(/^seek is .*; allowed: held, earliest, latest, a Date/);
});
