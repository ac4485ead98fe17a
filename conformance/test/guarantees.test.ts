import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { GUARANTEE_IDS, GUARANTEES } from '../src/guarantees.ts';

const page = fileURLToPath(new URL('../../docs/guarantees.md', import.meta.url));

test('the list is P1 to T2 of the design', () => {
  const families = new Map<string, number[]>();
  for (const id of GUARANTEE_IDS) {
    const [, family = '', number = ''] = /^([A-Z])(\d+)$/.exec(id) ?? [];
    families.set(family, [...(families.get(family) ?? []), Number(number)]);
  }
  expect(Object.fromEntries(families)).toEqual({
    P: upTo(7),
    D: upTo(11),
    O: upTo(7),
    R: upTo(13),
    F: upTo(7),
    L: upTo(5),
    E: upTo(2),
    T: upTo(2),
  });
});

test.skipIf(!existsSync(page))('docs/guarantees.md has the same ids and titles', () => {
  const text = readFileSync(page, 'utf8');
  const missing = GUARANTEE_IDS.filter((id) => !new RegExp(`\\b${id}\\b.*${escape(GUARANTEES[id])}`).test(text));
  expect(missing).toEqual([]);
});

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}
