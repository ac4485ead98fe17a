import { expect, test } from 'vitest';
import { CASES } from '../src/cases/index.ts';
import { GUARANTEE_IDS, type GuaranteeId } from '../src/guarantees.ts';

/** Guarantees whose cases are not written yet. It may only shrink; when it is empty it goes. */
const PENDING: readonly GuaranteeId[] = [
  'P3',
  'P5',
  'P6',
  'P7',
  'D2',
  'D3',
  'D4',
  'D6',
  'D7',
  'D8',
  'D9',
  'D10',
  'D11',
  'O5',
  'O6',
  'O7',
  'R2',
  'R6',
  'R7',
  'R8',
  'R9',
  'R10',
  'R11',
  'R12',
  'R13',
  'F1',
  'F2',
  'F3',
  'F4',
  'F5',
  'F6',
  'F7',
  'L1',
  'L2',
  'L3',
  'L4',
  'L5',
  'E1',
];

const proved = new Set(CASES.flatMap((one) => one.guarantees));

test('every guarantee has a case, but for the pending ones', () => {
  expect(GUARANTEE_IDS.filter((id) => !proved.has(id) && !PENDING.includes(id))).toEqual([]);
});

test('what has a case is no longer pending', () => {
  expect(PENDING.filter((id) => proved.has(id))).toEqual([]);
});

test('ids are unique, named after their first guarantee, and known', () => {
  expect(new Set(CASES.map((one) => one.id)).size).toBe(CASES.length);
  for (const { id, guarantees, title } of CASES) {
    expect(id).toMatch(/^[A-Z]\d+\.[a-z0-9]+(-[a-z0-9]+)*$/);
    expect(id.split('.')[0]).toBe(guarantees[0]);
    expect(guarantees.filter((one) => !GUARANTEE_IDS.includes(one))).toEqual([]);
    expect(title).toMatch(/^[A-Z].*\.$/);
  }
});
