import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { quote } from '../src/quote.ts';

test.each([
  ['abc', "'abc'"],
  ["it's", `"it's"`],
  ['a\nb\u001b', "'a\\nb\\x1B'"],
  [1, '1'],
  [undefined, 'undefined'],
  [{ a: [1, { b: {} }] }, '{ a: [ 1, { b: {} } ] }'],
])('%j', (value, shown) => expect(quote(value)).toBe(shown));

test('cuts what is long', () => {
  expect(quote('x'.repeat(500))).toBe(`'${'x'.repeat(100)}'... 400 more characters`);
  expect(quote(Array.from({ length: 99 }, () => 'x'.repeat(90))).length).toBeLessThanOrEqual(201);
});

test('cuts what many parts make long, and keeps its beginning', () => {
  const many = quote(Array.from({ length: 9 }, () => 'x'.repeat(90)));
  expect(many.length).toBe(201);
  expect(many).toMatch(/^\[ 'xx.*…$/);
});

test('asks no object how it wants to be shown', () => {
  expect(quote({ a: 1, [inspect.custom]: () => 'lie' })).toContain('a: 1');
});

test('is one line and never throws', () => {
  fc.assert(fc.property(fc.anything(), (value) => !/[\n\r]/.test(quote(value))));
  expect(quote(new Error('a\nb'))).not.toContain('\n');
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  expect(quote(revoked.proxy)).toMatch(/Revoked|object/);
});
