import { describe, expect, test } from 'vitest';
import { compareIds, envelopeOf } from '../src/entry.ts';
import { classify } from '../src/errors.ts';
import { createAdapter, manifests, redis } from '../src/index.ts';
import { inboxKeys, streamKeys } from '../src/keys.ts';

const destination = {
  kind: 'topic',
  name: 'prod___orders',
  topic: 'prod___orders',
  group: null,
  partitions: null,
  ordered: false,
  address: null,
} as const;

describe('options', () => {
  test.each([
    [{ nonsense: 1 }, /nonsense/],
    [{ url: 'http://h' }, /scheme/],
    [{ url: 'redis://a,b' }, /several hosts/],
    [{ url: 'redis://h/x' }, /database/],
    [{ url: 'redis://h/0?tls=1' }, /tls/],
    [{ durability: 'disk' }, /durability/],
    [{ timeout: 1 }, /timeout/],
    [{ db: -1 }, /db/],
    [{ keyPrefix: '{x}' }, /keyPrefix/],
    [{ tls: {} }, /rediss/],
  ])('%j is refused', (options, pattern) => {
    expect(() => redis(options as never)).toThrow(pattern);
  });

  test('no error shows the password', () => {
    for (const url of [
      'redis://:marker-pw@h/x',
      'redis://:marker-pw@h:99999',
      'ftp://u:marker-pw@h',
      'redis://:marker-pw@a,b',
    ]) {
      expect(() => redis({ url })).toThrow(/^(?!.*marker-pw)/s);
    }
    expect(() => redis({ password: { marker: 'marker-pw' } as never })).toThrow(/^(?!.*marker-pw)/s);
  });

  test('the manifest is that of the options, frozen, and equal by both doors', () => {
    const { supports } = createAdapter({
      url: 'redis://h',
      options: { durability: 'memory', dedup: { window: '1m' } },
      client: 'x',
    });
    expect(supports.publish.durability).toBe('memory');
    expect(supports.publish.dedup).toEqual({ by: 'emulated', window: 60_000 });
    expect(Object.isFrozen(supports.publish.delay)).toBe(true);
    expect(JSON.parse(JSON.stringify(supports))).toEqual(supports);
    expect(manifests['rediss']).toEqual(redis().supports);
  });
});

test('keys share one hash tag per topic', () => {
  expect(streamKeys('p:', destination).stream).toBe('p:{prod___orders}:stream');
  expect(inboxKeys('p:', 'prod___orders', 'inv')).toMatchObject({
    stream: 'p:{prod___orders}:inbox:inv',
    due: 'p:{prod___orders}:due:inv',
  });
  expect(streamKeys('p:', { ...destination, address: 'old' })).toMatchObject({ stream: 'old', due: 'p:{old}:due' });
  expect(streamKeys('', { ...destination, address: 'a{b}c' }).due).toBe('{b}:a{b}c:due');
  expect(() => streamKeys('', { ...destination, address: 'a}b' })).toThrow(/braces/);
});

test('ids compare by number', () => {
  const sorted = ['9-0', '10-0', '10-9', '10-10', '10-18446744073709551614', '10-18446744073709551615'];
  expect(sorted.toReversed().toSorted(compareIds)).toEqual(sorted);
});

test('an entry of another program keeps bytes that are no text', () => {
  const entry = envelopeOf(
    '5-0',
    ['data', 'x', 'bin', 'y'].map((text, index) => (index === 3 ? Buffer.from([255]) : Buffer.from(text))),
  );
  expect(entry).toMatchObject({ id: '5-0', time: 5, key: null, control: null });
  expect(entry.headers['bin']).toEqual(Buffer.from([255]));
});

test.each([
  ['OOM command not allowed when used memory > maxmemory', 'throttled'],
  ['NOREPLICAS Not enough good replicas to write.', 'unavailable'],
  ['ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed', 'throttled'],
  ['LOADING Redis is loading the dataset in memory', 'unavailable'],
  ["NOGROUP No such key 'a' or consumer group 'b' in XREADGROUP with GROUP option", 'not-found'],
  ['UNBLOCKED the stream key no longer exists', 'not-found'],
  ['NOPERM this user has no permissions', 'denied'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'denied'],
  ['NOAUTH Authentication required.', 'denied'],
  ['WRONGTYPE Operation against a key holding the wrong kind of value', 'invalid'],
  ['ERR something new', 'unclassified'],
])('%s', (text, code) => {
  expect(classify(Object.assign(new Error(text), { name: 'ReplyError' }))).toBe(code);
});
test('socket errors mean disconnected', () => {
  expect(classify(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toBe('disconnected');
  expect(classify(new Error('Connection is closed.'))).toBe('disconnected');
});
