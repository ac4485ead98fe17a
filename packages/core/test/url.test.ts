import * as fc from 'fast-check';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { WaybillError } from '../src/errors.ts';
import { maskUrl, parseBrokerUrl } from '../src/url.ts';

const empty = { hosts: [], username: null, password: null, path: null, params: {} };

test.each([
  ['memory:', { ...empty, scheme: 'memory' }],
  ['MEMORY:?limit=1', { ...empty, scheme: 'memory', params: { limit: '1' } }],
  ['sqs:', { ...empty, scheme: 'sqs' }],
  ['sqs-fifo://eu-west-1', { ...empty, scheme: 'sqs-fifo', hosts: [{ host: 'eu-west-1', port: null }] }],
  ['sqs+http://127.0.0.1:9324', { ...empty, scheme: 'sqs+http', hosts: [{ host: '127.0.0.1', port: 9324 }] }],
  [
    'kafkas://us%40er:p%3A%2F%40%25:w@h1:9092,h2.example.com.,[::1]:1?sasl=plain&a%26b=c+d%20e&&flag',
    {
      scheme: 'kafkas',
      hosts: [
        { host: 'h1', port: 9092 },
        { host: 'h2.example.com.', port: null },
        { host: '::1', port: 1 },
      ],
      username: 'us@er',
      password: 'p:/@%:w',
      path: null,
      params: { sasl: 'plain', 'a&b': 'c+d e', flag: '' },
    },
  ],
  ['amqp://h', { ...empty, scheme: 'amqp', hosts: [{ host: 'h', port: null }] }],
  ['amqp://h/', { ...empty, scheme: 'amqp', hosts: [{ host: 'h', port: null }], path: '' }],
  ['amqp://h/%2Fa/b', { ...empty, scheme: 'amqp', hosts: [{ host: 'h', port: null }], path: '/a/b' }],
  ['redis://:pw@h/0', { ...empty, scheme: 'redis', hosts: [{ host: 'h', port: null }], password: 'pw', path: '0' }],
  ['redis://@[2001:db8::10]:65535', { ...empty, scheme: 'redis', hosts: [{ host: '2001:db8::10', port: 65_535 }] }],
  ['redis://user@h', { ...empty, scheme: 'redis', hosts: [{ host: 'h', port: null }], username: 'user' }],
  ['redis://', { ...empty, scheme: 'redis' }],
])('%s', (url, parts) => expect({ ...parseBrokerUrl(url), params: { ...parseBrokerUrl(url).params } }).toEqual(parts));

test('parameters have no prototype', () => {
  const { params } = parseBrokerUrl('memory:?__proto__=1&constructor=2');
  expect(Object.getPrototypeOf(params)).toBeNull();
  expect(Object.entries(params)).toEqual([
    ['__proto__', '1'],
    ['constructor', '2'],
  ]);
});

test.each([
  ['', /kafka:\/\/host/],
  [undefined, /kafka:\/\/host/],
  ['localhost', /scheme/],
  ['://h', /scheme/],
  ['1a://h', /scheme/],
  ['redis:h', /scheme/],
  ['redis:/h', /scheme/],
  ['redis://h:0', /host 1 .*65535/],
  ['redis://h:65536', /host 1/],
  ['redis://h:999999', /host 1/],
  ['redis://h:x', /host 1/],
  ['kafka://h1,,h3', /host 2/],
  ['kafka://h1,', /host 2/],
  ['redis://[::g]', /host 1/],
  ['redis://[1.2.3]', /host 1/],
  ['redis://::1', /host 1/],
  ['redis://hö', /host 1/],
  ['redis://u:p@', /no host/],
  ['redis://@', /no host/],
  ['redis://u:p@ss@h', /%40/],
  ['redis://u:pa/ss@h', /%40/],
  ['redis://u:pa#ss@h', /%23/],
  ['redis://h/a@b', /%40/],
  ['redis://u:%zz@h', /password has a %/],
  ['redis://u%ff@h', /user name has a %/],
  ['redis://h/%', /path has a %/],
  ['redis://h?%=1', /parameter name has a %/],
  ['redis://h?a=%', /parameter value has a %/],
  ['redis://h?a=1&a=2', /twice/],
  ['redis://h?=2', /without a name/],
  ['redis://h h', /space/],
  ['redis://h\n', /space/],
  ['redis://h\u0000', /control/],
])('refuses %j and says why', (url, rule) => {
  expect(() => parseBrokerUrl(url as string)).toThrow(
    expect.objectContaining({ code: 'invalid', message: expect.stringMatching(rule) as string }),
  );
});

test.each([
  ['redis://user:pw@[::1]:6379,h2/0?password=x&tls=a%20b', 'redis://***@[::1]:6379,h2/0?password=***&tls=a%20b'],
  ['AMQP://h/%2F', 'amqp://h/%2F'],
  ['amqp://h/', 'amqp://h/'],
  ['memory:?a=1', 'memory:?a=1'],
  ['sqs://', 'sqs:'],
  ['redis://token@h', 'redis://***@h'],
  ['redis://u:p@ss@h', 'redis://***'],
  ['user:pw@h', '***'],
  ['pw', '***'],
])('%s is shown as %s', (url, shown) => expect(maskUrl(url)).toBe(shown));

test('whatever it is given, it answers or throws a WaybillError', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom('kafka', ':', '//', '@', ',', '/', '?', '&', '=', '%', '%4', '[', ']', '::1', '#', '+', ' '),
      fc.string(),
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        pieces.map((parts) => parts.join('')),
        fc.anything(),
      ),
      (url) => {
        expect(typeof maskUrl(url as string)).toBe('string');
        try {
          parseBrokerUrl(url as string);
        } catch (error) {
          expect(WaybillError.is(error)).toBe(true);
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

test('never shows the password, encoded or not, in a right URL or a wrong one', () => {
  const around = fc.string({
    unit: fc.constantFrom('@', ':', '/', '?', '#', '%', ',', ' ', '[', '&', '=', 'x', '1'),
    maxLength: 4,
  });
  // A marker that is no part of anything else. Before and behind it stands what people forget to encode.
  const password = fc.tuple(around, around).map(([before, behind]) => `${before}MARKER${behind}`);
  const url = fc
    .tuple(
      password,
      fc.boolean(),
      fc.constantFrom('@h', '@h:x', '@', '@h:1,', '@h/%', '@h?a=1&a=1', '@h#', ''),
      fc.constantFrom('//u:', '//:', 'u:', '//u%:'),
    )
    .map(([secret, encoded, rest, start]) => `redis:${start}${encoded ? encodeURIComponent(secret) : secret}${rest}`)
    // With one @, unencoded, at the end of a user part, what follows it is a host to anybody who looks.
    .filter((text) => !/^redis:\/\/[^/?@]*@[^@]*MARKER/.test(text))
    // And without any, or behind a question mark, nothing says that it is a password.
    .filter((text) => text.includes('@'));
  fc.assert(
    fc.property(url, (text) => {
      let shown = maskUrl(text);
      try {
        parseBrokerUrl(text);
      } catch (error) {
        shown += inspect(error, { showHidden: true, depth: 9 });
      }
      expect(shown).not.toContain('MARKER');
    }),
    { numRuns: 1_000 },
  );
});

test('what parts were encoded come back', () => {
  fc.assert(
    fc.property(
      fc.record({
        username: fc.string({ minLength: 1 }),
        password: fc.string({ minLength: 1 }),
        path: fc.string(),
        name: fc.string({ minLength: 1 }),
        value: fc.string(),
      }),
      ({ username, password, path, name, value }) => {
        const [u, p, d, n, v] = [username, password, path, name, value].map(encodeURIComponent);
        const parts = parseBrokerUrl(`amqps://${u}:${p}@h/${d}?${n}=${v}`);
        expect(parts).toMatchObject({ username, password, path });
        expect(Object.entries(parts.params)).toEqual([[name, value]]);
      },
    ),
  );
});
