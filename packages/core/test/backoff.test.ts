import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bounds, delayOf, exponential, fixed, totalUpperBound } from '../src/backoff.ts';

test('the default doubles from 200 ms to 30 s, ± 20 %, and is plain data', () => {
  const policy = exponential();
  expect(JSON.parse(JSON.stringify(policy))).toEqual({
    kind: 'exponential',
    initial: 200,
    factor: 2,
    max: 30_000,
    jitter: 0.2,
  });
  expect(Object.isFrozen(policy) && Object.isFrozen(fixed(1))).toBe(true);
  expect([1, 2, 3].map((attempt) => bounds(policy, attempt))).toEqual([
    { lower: 160, upper: 240 },
    { lower: 320, upper: 480 },
    { lower: 640, upper: 960 },
  ]);
  expect(bounds(policy, 1_000)).toEqual({ lower: 24_000, upper: 30_000 });
});

test('a fixed delay is fixed, with jitter if asked for', () => {
  expect(fixed('5s')).toEqual({ kind: 'fixed', delay: 5_000, jitter: 0 });
  expect(bounds(fixed('5s'), 7)).toEqual({ lower: 5_000, upper: 5_000 });
  expect(bounds(fixed(100, { jitter: 0.5 }), 1)).toEqual({ lower: 50, upper: 150 });
  expect(delayOf(fixed(0), 1, () => 0.9)).toBe(0);
});

test('the delay follows the random number between the bounds', () => {
  const policy = exponential();
  expect([0, 0.5, 0.999999].map((random) => delayOf(policy, 1, () => random))).toEqual([160, 200, 240]);
});

test('delays are whole, within bounds, and never above the maximum', () => {
  const policy = fc.oneof(
    fc
      .record({
        initial: fc.integer({ min: 1, max: 60_000 }),
        factor: fc.double({ min: 1, max: 100, noNaN: true }),
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
      })
      .map(({ initial, factor, jitter }) => exponential({ initial, factor, jitter, max: initial * 10 })),
    fc
      .record({ delay: fc.nat(), jitter: fc.double({ min: 0, max: 1, noNaN: true }) })
      .map(({ delay, jitter }) => fixed(delay, { jitter })),
  );
  fc.assert(
    fc.property(
      policy,
      fc.integer({ min: 1, max: 1_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (one, attempt, random) => {
        const delay = delayOf(one, attempt, () => random);
        const { lower, upper } = bounds(one, attempt);
        expect(Number.isInteger(delay) && lower >= 0 && delay >= lower && delay <= upper).toBe(true);
        if (one.kind === 'exponential') expect(delay).toBeLessThanOrEqual(one.max);
      },
    ),
  );
});

test('the total is the sum of the longest delays between the attempts', () => {
  expect(totalUpperBound(exponential(), 5)).toBe(240 + 480 + 960 + 1_920);
  expect(totalUpperBound(fixed('1s'), 3)).toBe(2_000);
  expect(totalUpperBound(fixed('1s'), 1)).toBe(0);
});

test('limits are allowed themselves', () => {
  expect(exponential({ initial: 1, max: 1, factor: 1, jitter: 1 })).toMatchObject({
    initial: 1,
    max: 1,
    factor: 1,
    jitter: 1,
  });
  expect(exponential({ factor: 100, jitter: 0 })).toMatchObject({ factor: 100, jitter: 0 });
});

test.each([
  [() => exponential({ initial: 0 }), /initial is 0/],
  [() => exponential({ initial: 'x' as '1s' }), /initial is 'x'/],
  [() => exponential({ factor: 0.5 }), /factor is 0.5; allowed: a number from 1 to 100/],
  [() => exponential({ factor: Number.NaN }), /factor is NaN/],
  [() => exponential({ max: 100 }), /max is 100 ms; allowed: at least initial, which is 200 ms/],
  [() => exponential({ jitter: 1.1 }), /jitter is 1.1; allowed: a number from 0 to 1/],
  [() => fixed(-1), /delay is -1/],
  [() => fixed(1, { jitter: -0.1 }), /jitter is -0.1/],
])('refuses what makes no sense: %#', (make, message) => {
  expect(make).toThrow(expect.objectContaining({ code: 'invalid', message: expect.stringMatching(message) as string }));
});
