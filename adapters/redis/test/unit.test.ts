import { describe, expect, test } from 'vitest';
import { compareIds, envelopeOf } from '../src/entry.ts';
import { classify } from '../src/errors.ts';
import { createAdapter, manifests, redis } from '../src/index.ts';
import { Layout } from '../src/keys.ts';
import { before, isSilent, previousId } from '../src/positions.ts';

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
    [{ url: 'redis://a,b', cluster: true, sentinel: { name: 'm' } }, /exclude/],
    [{ url: 'redis://a/3', cluster: true }, /only 0/],
    [{ cluster: true, durability: 'replicated' }, /replicated/],
    [{ sentinel: { name: '' } }, /sentinel.name/],
    [{ sentinel: { name: 'm', nonsense: 1 } }, /nonsense/],
    [{ url: 'redis://h/x' }, /database/],
    [{ url: 'redis://h/0?tls=1' }, /tls/],
    [{ durability: 'disk' }, /durability/],
    [{ timeout: 1 }, /timeout/],
    [{ cluster: 'true' }, /cluster is 'true'; allowed: true, false/],
    [{ allowEviction: 1 }, /allowEviction is 1/],
    [{ replicas: 2 }, /replicas needs durability: 'replicated'/],
    [{ dedup: { window: '1m', windw: '2m' } }, /dedup.windw is unknown; allowed: dedup.window/],
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

const inbox = { ...destination, kind: 'inbox', name: 'prod___orders__inv__retry', group: 'inv' } as const;
const tagOf = (key: string): string => /\{([^}]+)\}/.exec(key)?.[1] ?? key;

describe('keys', () => {
  test('share one hash tag per topic', () => {
    const layout = new Layout('p:');
    expect(layout.stream(destination, 0).stream).toBe('p:{prod___orders}:stream');
    expect(layout.stream(inbox, 0)).toMatchObject({
      stream: 'p:{prod___orders}:inbox:inv',
      due: 'p:{prod___orders}:due:inv',
    });
    expect(layout.members(destination, 'inv')).toBe('p:{prod___orders}:members:inv');
  });

  test('of another program\u2019s stream have its tag, the inbox too', () => {
    for (const [address, due, stream] of [
      ['old', '{old}:due', '{old}:inbox:inv'],
      ['a{b}c', '{b}:a{b}c:due', '{b}:a{b}c:inbox:inv'],
    ] as const) {
      const layout = new Layout('');
      expect(layout.stream({ ...destination, address }, 0)).toMatchObject({ stream: address, due });
      expect(layout.stream(inbox, 0).stream).toBe(stream);
    }
    expect(() => new Layout('').stream({ ...destination, address: 'a}b' }, 0)).toThrow(/braces/);
  });

  test('share one hash tag per partition, and every partition has its own', () => {
    const layout = new Layout('p:');
    const topic = { ...destination, partitions: 12, ordered: true };
    const tags = new Set<string>();
    for (let partition = 0; partition < 12; partition++) {
      const all = [
        ...Object.values(layout.stream(topic, partition)),
        ...Object.values(layout.stream({ ...inbox, partitions: 12, ordered: true }, partition)),
        ...Object.values(layout.lease(topic, partition, 'inv{x}')),
      ] as string[];
      expect(new Set(all).size).toBe(10);
      expect(new Set(all.map(tagOf))).toEqual(new Set([`prod___orders__12__${partition}`]));
      tags.add(tagOf(all[0] ?? ''));
    }
    expect(tags.size).toBe(12);
    expect(layout.streams(topic)[3]?.stream).toBe('p:{prod___orders__12__3}:stream');
    expect(() => layout.stream({ ...topic, address: 'old' }, 0)).toThrow(/ordered/);
  });
});

test('a position speaks of partitions', () => {
  const start = { position: { '3': '5-7', '4': '9-0' } };
  expect([before(start, 3), before(start, 4), before(start, 5)]).toEqual(['5-6', '8-18446744073709551615', '0-0']);
  expect([isSilent(start, 3), isSilent(start, 5), isSilent('latest', 5)]).toEqual([false, true, false]);
  expect(previousId('5-0')).toBe('4-18446744073709551615');
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
  ["ERR The user executing the script can't run this command or subcommand script: e07, on @user_script:1.", 'denied'],
  ["ERR ACL failure in script: User app has no permissions to run the 'hget' command", 'denied'],
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
