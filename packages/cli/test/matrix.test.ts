import { CASES } from '@waybill/conformance';
import { expect, test } from 'vitest';
import { GROUPS } from '../src/matrix.ts';

test('every case is shown in a group', () => {
  const shown = new Set(GROUPS.map(([letter]) => letter));
  expect(CASES.filter(({ guarantees: [first] }) => !shown.has(first?.slice(0, 1) ?? ''))).toEqual([]);
});
