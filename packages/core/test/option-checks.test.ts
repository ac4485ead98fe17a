import { expect, test } from 'vitest';
import { hostsOf, OptionChecks } from '../src/option-checks.ts';
import { parseBrokerUrl } from '../src/url.ts';

const check = new OptionChecks('acme');

test('what is allowed is passed on, and what is left out has its default', () => {
  check.known({ url: '', lease: 1 }, ['url', 'lease']);
  expect(check.whole('replicas', 3, 1, 10)).toBe(3);
  expect(check.time('lease', '30s', 500)).toBe(30_000);
  expect([check.oneOf('kind', undefined, ['a', 'b']), check.oneOf('kind', 'b', ['a', 'b'])]).toEqual(['a', 'b']);
  expect([check.flag('on', undefined, true), check.flag('on', false, true)]).toEqual([true, false]);
  expect([check.text('password', undefined), check.text('password', '')]).toEqual([null, '']);
  expect(check.url('acmes://h?sasl=x', ['acme', 'acmes'], ['sasl']).scheme).toBe('acmes');
});

test.each([
  [() => check.known({ leese: 1 }, ['url', 'lease']), 'acme: option leese is unknown; allowed: url, lease'],
  [() => check.known({ a: 1 }, ['b'], 'dedup.'), 'acme: option dedup.a is unknown; allowed: dedup.b'],
  [() => check.url('other://h', ['acme'], []), "acme: the URL's scheme is other; allowed: acme"],
  [() => check.url('acme://h?tls=1', ['acme'], ['sasl']), 'acme: URL parameter tls is unknown; allowed: sasl'],
  [() => check.whole('replicas', 2.5, 1, 10), 'acme: replicas is 2.5; allowed: whole numbers from 1 to 10'],
  [() => check.whole('replicas', '2', 1), "acme: replicas is '2'; allowed: whole numbers from 1"],
  [() => check.whole('replicas', 5n, 1, 10), 'acme: replicas is 5n'],
  [() => check.time('lease', '1s', 2_000, 9_000), "acme: lease is '1s'; allowed: whole milliseconds from 2000 to 9000"],
  [() => check.time('lease', 2.5, 1), 'acme: lease is 2.5; allowed: whole milliseconds from 1'],
  [() => check.time('lease', 'soon' as never, 1), "acme: lease is 'soon'"],
  [() => check.oneOf('kind', 'c', ['a', 'b']), "acme: kind is 'c'; allowed: a, b"],
  [() => check.flag('on', 'yes', true), "acme: on is 'yes'; allowed: true, false"],
])('what is not is refused by an error that says all of it', (run, message) => {
  expect(run).toThrow(
    expect.objectContaining({ code: 'invalid', message: expect.stringContaining(message) as string }),
  );
});

test('a text is not shown: it may be a password', () => {
  expect(() => check.text('password', { marker: 'hunter2' })).toThrow(/^acme: password must be a string$/);
});

test('hosts have a port each, and are this machine where none is named', () => {
  expect(hostsOf(parseBrokerUrl('acme:'), 9)).toEqual([{ host: '127.0.0.1', port: 9 }]);
  expect(hostsOf(parseBrokerUrl('acme://a:1,b'), 9)).toEqual([
    { host: 'a', port: 1 },
    { host: 'b', port: 9 },
  ]);
});
