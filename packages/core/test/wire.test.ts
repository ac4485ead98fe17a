import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Control, Envelope, HeaderValue } from '../src/contract.ts';
import { decodeWire, encodeWire, headerBytes } from '../src/wire.ts';

const headerName = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'toString', 'traceparent', 'x'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
);
const usersName = headerName.filter((name) => !name.startsWith('waybill-') && name !== 'content-type');
const headerValue: fc.Arbitrary<HeaderValue> = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);
const headers = fc.array(fc.tuple(usersName, headerValue), { maxLength: 8 }).map((pairs) => {
  const map = Object.create(null) as Record<string, HeaderValue>;
  for (const [name, value] of pairs) map[name] = value;
  return map;
});
const text = fc.string({ unit: 'grapheme' });
const control: fc.Arbitrary<Control | null> = fc.option(
  fc
    .record(
      {
        expires: fc.nat(),
        notBefore: fc.nat(),
        attempt: fc.integer({ min: 1, max: 1_000 }),
        group: text,
        dead: fc.dictionary(fc.constantFrom('topic', 'code', 'message', 'attempts'), text, {
          minKeys: 1,
          noNullPrototype: false,
        }),
      },
      { requiredKeys: [] },
    )
    .filter((some) => Object.keys(some).length > 0),
  { nil: null },
);
const envelope: fc.Arbitrary<Envelope> = fc.record({
  id: fc.string({ unit: 'grapheme', minLength: 1 }),
  time: fc.nat(8_640_000_000_000_000),
  key: fc.option(text, { nil: null }),
  type: fc.option(text, { nil: null }),
  source: fc.option(text, { nil: null }),
  contentType: fc.option(text, { nil: null }),
  headers,
  control,
  body: fc.constant(new Uint8Array()),
});

describe('wire headers', () => {
  test('what is written is read again, whatever it holds', () => {
    fc.assert(
      fc.property(envelope, (message) => {
        const { body: _body, ...rest } = message;
        expect(decodeWire(encodeWire(message))).toEqual(rest);
      }),
    );
  });

  test('bytes in place of text give the same, as brokers that know only bytes hand it back', () => {
    fc.assert(
      fc.property(envelope, (message) => {
        const bytes = encodeWire({ ...message, headers: {} }).map(([name, value]): [string, HeaderValue] => [
          name,
          Buffer.from(value as string),
        ]);
        const { id, key, control: read } = decodeWire(bytes);
        expect({ id, key, control: read }).toEqual({ id: message.id, key: message.key, control: message.control });
      }),
    );
  });

  test('a stranger may write anything: it never throws, and nothing under our prefix reaches the user', () => {
    const anyName = fc.oneof(
      headerName,
      fc
        .constantFrom('id', 'time', 'attempt', 'not-before', 'expires', 'group', 'dead-', 'dead-x', 'new')
        .map((name) => `waybill-${name}`),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(anyName, headerValue)), (pairs) => {
        const read = decodeWire(pairs);
        for (const name of Object.keys(read.headers)) expect(name.startsWith('waybill-')).toBe(false);
        const { attempt, notBefore, expires } = read.control ?? {};
        for (const number of [attempt, notBefore, expires])
          expect(number === undefined || Number.isSafeInteger(number)).toBe(true);
      }),
    );
  });

  test.each([
    ['waybill-attempt', '0'],
    ['waybill-attempt', '-1'],
    ['waybill-attempt', '1e3'],
    ['waybill-attempt', '99999999'],
    ['waybill-not-before', 'soon'],
    ['waybill-not-before', '99999999999999999999'],
    ['waybill-expires', ''],
  ])('%s: %s is out of bound, and said to be', (name, value) => {
    expect(decodeWire([[name, value]]).control).toEqual({ malformed: name });
  });

  test('counts the bytes of names and values', () => {
    expect(headerBytes({ é: 'ü', raw: new Uint8Array(3) })).toBe(2 + 2 + 3 + 3);
  });
});
