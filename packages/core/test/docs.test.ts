import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERROR_CODES } from '../src/errors.ts';

test('docs/design.md lists every error code as the table in the code has it', () => {
  const page = readFileSync(new URL('../../../docs/design.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('<!-- error-codes'), page.indexOf('Codes of a dead-letter record'));
  const rows = [...table.matchAll(/^\| `(.+?)` +\| (yes|no) +\| (yes|no) +\| (.+?) +\|$/gm)].map((row) =>
    row.slice(1, 5),
  );
  const yes = (value: boolean): string => (value ? 'yes' : 'no');
  expect(rows).toEqual(
    Object.entries(ERROR_CODES).map(([code, { meaning, retriable, reconnect }]) => [
      code,
      yes(retriable),
      yes(reconnect),
      meaning,
    ]),
  );
});
