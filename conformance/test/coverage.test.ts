import { expect, test } from 'vitest';
import { CASES } from '../src/cases/index.ts';
import { GUARANTEE_IDS } from '../src/guarantees.ts';

const proved = new Set(CASES.flatMap((one) => one.guarantees));

test('every guarantee has a case', () => {
  expect(GUARANTEE_IDS.filter((id) => !proved.has(id))).toEqual([]);
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
