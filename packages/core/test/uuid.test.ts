import { expect, test, vi } from 'vitest';
import { uuidv7 } from '../src/uuid.ts';

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
const counterOf = (id: string): number =>
  (Number.parseInt(id.slice(15, 18), 16) << 14) | (Number.parseInt(id.slice(19, 23), 16) & 0x3fff);

test('has the shape, version and variant of RFC 9562, and the time', () => {
  const now = Date.now();
  for (let count = 0; count < 1_000; count++) expect(uuidv7()).toMatch(shape);
  expect(Math.abs(timeOf(uuidv7()) - now)).toBeLessThan(60_000);
});

test('a million of them rise strictly, so they are unique', () => {
  let last = '';
  for (let count = 0; count < 1_000_000; count++) {
    const id = uuidv7();
    if (id <= last) throw new Error(`${id} after ${last}`);
    last = id;
  }
});

test('rises when the clock stands, steps back or has fractions', () => {
  const start = Date.now() + 100_000;
  let last = '';
  for (const now of [start, start, start - 5_000, start + 0.5, start + 0.9, start - 1, start + 1, start + 1.5, start]) {
    const id = uuidv7(now);
    expect(id > last).toBe(true);
    last = id;
  }
  expect(timeOf(last)).toBe(start + 1);
  expect(timeOf(uuidv7(start + 2))).toBe(start + 2);
});

test('goes ahead of the clock by a millisecond when the counter runs over', async () => {
  vi.resetModules();
  vi.doMock('node:crypto', () => ({ randomFillSync: (bytes: Uint8Array) => bytes.fill(0xff) }));
  const fresh = await import('../src/uuid.ts');
  vi.doUnmock('node:crypto');
  const now = 1_700_000_000_000;
  const [last, next, after] = [fresh.uuidv7(now), fresh.uuidv7(now), fresh.uuidv7(now + 2)] as const;
  expect([last, next, after].map(timeOf)).toEqual([now, now + 1, now + 2]);
  expect(counterOf(last)).toBe(2 ** 26 - 1);
  expect(last < next && next < after).toBe(true);
});

test('pads what is small', async () => {
  vi.resetModules();
  vi.doMock('node:crypto', () => ({ randomFillSync: (bytes: Uint8Array) => bytes.fill(0) }));
  const fresh = await import('../src/uuid.ts');
  vi.doUnmock('node:crypto');
  expect(fresh.uuidv7(5)).toBe('00000000-0005-7000-8000-000000000000');
});

test('counts on through the bits before and behind the variant', () => {
  const now = Date.now() + 150_000;
  let last = counterOf(uuidv7(now));
  for (let count = 0; count < 40_000; count++) {
    const counter = counterOf(uuidv7(now));
    if (counter !== (last + 1) % 2 ** 26 && counter >= last) throw new Error(`${counter} after ${last}`);
    last = counter;
  }
});

test('carries random bits: two processes do not meet in one millisecond', () => {
  const now = Date.now() + 200_000;
  const tails = new Set(Array.from({ length: 5_000 }, () => uuidv7(now).slice(24)));
  expect(tails.size).toBe(5_000);
  const counters = new Set(Array.from({ length: 100 }, (_, index) => counterOf(uuidv7(now + 1 + index))));
  expect(counters.size).toBeGreaterThan(95);
});
