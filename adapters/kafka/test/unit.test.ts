import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { decodeAssignment, decodeMember, distribute, encodeAssignment, encodeMember } from '../src/assignment.ts';
import { Commits } from '../src/commits.ts';
import { Sockets } from '../src/connection.ts';
import { classify } from '../src/errors.ts';
import { createAdapter, kafka, manifests } from '../src/index.ts';
import type { OffsetCommit } from '../src/membership.ts';
import { settingsOf } from '../src/options.ts';
import { offsetIn } from '../src/positions.ts';
import { type Produce, send, type SendResult } from '../src/publish.ts';
import type { OffsetReceipt } from '../src/delivery.ts';
import { Stream } from '../src/stream.ts';
import { fetched, filled } from './batches.ts';

describe('options', () => {
  test.each([
    [{ nonsense: 1 }, /nonsense/],
    [{ url: 'http://h' }, /scheme/],
    [{ url: 'kafka://h/path' }, /path/],
    [{ url: 'kafka://h?tls=1' }, /tls/],
    [{ url: 'kafka://h?sasl=gssapi' }, /plain, scram-sha-256, scram-sha-512/],
    [{ url: 'kafka://user@h' }, /password/],
    [{ sasl: 'plain' }, /user name/],
    [{ tls: {} }, /kafkas/],
    [{ durability: 'disk' }, /durability/],
    [{ durability: 'replicated', replicas: 1 }, /replicas/],
    [{ replicas: 0 }, /replicas/],
    [{ partitions: 1.5 }, /partitions/],
    [{ maxMessageBytes: 1_000 }, /maxMessageBytes/],
    [{ lease: 1 }, /lease/],
    [{ idempotent: 'yes' }, /idempotent/],
    [{ compression: 'zstd' }, /compression/],
    [{ onOutOfRange: 'skip' }, /onOutOfRange/],
    [{ addresses: { 'a:1': 'b' } }, /addresses/],
    [{ timeout: '1ms' }, /timeout/],
  ])('%j is refused', (options, pattern) => {
    expect(() => kafka(options as never)).toThrow(pattern);
  });

  test('no error shows the password', () => {
    for (const options of [
      { url: 'kafka://u:marker-pw@h/x' },
      { url: 'ftp://u:marker-pw@h' },
      { password: { marker: 'marker-pw' } },
      { sasl: 'marker-pw' },
      { url: 'kafka://h?sasl=marker-pw' },
    ])
      expect(() => kafka(options as never)).toThrow(/^(?!.*marker-pw)/s);
  });

  test('the manifest is that of the options, frozen, and equal by both doors', () => {
    const { supports } = createAdapter({
      url: 'kafka://a,b:9093',
      options: { durability: 'replicated', idempotent: true, retention: 0 },
      client: 'x',
    });
    expect(supports.publish).toMatchObject({ durability: 'replicated', inFlight: 1 });
    expect(supports.deliver.unsettled.maxAge).toBeNull();
    expect(Object.isFrozen(supports.publish.delay)).toBe(true);
    expect(JSON.parse(JSON.stringify(supports))).toEqual(supports);
    expect(manifests['kafkas']).toEqual(kafka().supports);
  });
});

const wrapped = (cause: Error): Error =>
  Object.assign(new Error('wrapped', { cause }), { name: 'KafkaJSNumberOfRetriesExceeded' });
const typed = (type: string): Error => Object.assign(new Error(type), { name: 'KafkaJSProtocolError', type });

test.each([
  ['UNKNOWN_TOPIC_OR_PARTITION', 'not-found'],
  ['TOPIC_AUTHORIZATION_FAILED', 'denied'],
  ['SASL_AUTHENTICATION_FAILED', 'denied'],
  ['MESSAGE_TOO_LARGE', 'too-large'],
  ['INVALID_SESSION_TIMEOUT', 'invalid'],
  ['INCONSISTENT_GROUP_PROTOCOL', 'invalid'],
  ['NOT_LEADER_FOR_PARTITION', 'unavailable'],
  ['NOT_ENOUGH_REPLICAS', 'throttled'],
  ['REQUEST_TIMED_OUT', 'timeout'],
  ['UNSUPPORTED_VERSION', 'unsupported'],
  ['SOMETHING_NEW', 'unclassified'],
])('%s', (type, code) => {
  expect(classify(typed(type))).toBe(code);
  expect(classify(wrapped(typed(type)))).toBe(code);
});

test('a lost connection means disconnected, whatever it is wrapped in', () => {
  const closed = Object.assign(new Error('Closed connection'), { name: 'KafkaJSConnectionClosedError' });
  expect(classify(wrapped(closed))).toBe('disconnected');
  expect(classify(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBe('disconnected');
  expect(classify('no error')).toBe('unclassified');
});

test('sockets that were cut end with an error, and one that is opened later ends at once', async () => {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = new Sockets(settingsOf({}, 'x'));
  const open = () => sockets.factory({ host: '127.0.0.1', port, ssl: undefined as never, onConnect: () => undefined });
  const early = open();
  const ended = once(early, 'error');
  sockets.cut();
  expect(String(await ended)).toContain('closed');
  expect(String(await once(open(), 'error'))).toContain('closed');
  server.close();
});

describe('commits', () => {
  function committing(answer: () => Promise<boolean>) {
    const sent: OffsetCommit[][] = [];
    const stream = new Stream({ topic: 't', partition: 0, origin: 'topic', from: 0n, end: null });
    stream.add(fetched([filled(0n, 3)], 3n));
    const out: { receipt: unknown }[] = [];
    stream.take(3, out as never);
    const commits = new Commits(
      {
        commit: async (gather) => {
          const topics = gather();
          if (topics.length > 0) sent.push([...topics]);
          return answer();
        },
      },
      () => [stream],
    );
    return { sent, stream, commits, receipts: out.map(({ receipt }) => receipt as OffsetReceipt) };
  }
  const sentOffsets = (sent: OffsetCommit[][]): (string | undefined)[] =>
    sent.map(([one]) => one?.partitions[0]?.offset);

  test('one request at a time, and what is settled meanwhile goes with the next', async () => {
    let release: (() => void) | undefined;
    const { sent, stream, commits, receipts } = committing(
      () => new Promise((resolve) => (release = () => resolve(true))),
    );
    stream.settle(receipts[0] as OffsetReceipt);
    const first = commits.flush();
    await new Promise(setImmediate);
    stream.settle(receipts[1] as OffsetReceipt);
    const second = commits.flush();
    stream.settle(receipts[2] as OffsetReceipt);
    expect(sentOffsets(sent)).toEqual(['1']);
    release?.();
    await first;
    await new Promise(setImmediate);
    release?.();
    await second;
    expect(sentOffsets(sent)).toEqual(['1', '3']);
  });

  test('never lower than before, and nothing for a partition that was let go', async () => {
    const { sent, stream, commits, receipts } = committing(() => Promise.resolve(true));
    stream.settle(receipts[2] as OffsetReceipt);
    await commits.flush();
    stream.settle(receipts[0] as OffsetReceipt);
    await commits.flush();
    expect(sentOffsets(sent)).toEqual(['3']);
    const gone = committing(() => Promise.resolve(true));
    gone.stream.settle(gone.receipts[0] as OffsetReceipt);
    gone.stream.owned = false;
    await gone.commits.flush();
    expect(gone.sent).toEqual([]);
  });
});

describe('assignment', () => {
  test('travels as Kafka encodes it', () => {
    expect(decodeMember('m', encodeMember(['a', 'b'], [1, 3]))).toEqual({
      id: 'm',
      topics: ['a', 'b'],
      claims: [1, 3],
    });
    const counts = new Map([
      ['a', 3],
      ['b', 2],
    ]);
    expect(decodeAssignment(encodeAssignment([0, 2], counts))).toEqual([0, 2]);
    expect(decodeMember('m', encodeMember(['a'], []).subarray(0, -12)).claims).toEqual([]);
  });

  test('gives each partition to one member, and none that another still has', () => {
    const topics = ['a'];
    const alone = distribute([{ id: 'x', topics, claims: [] }], 6);
    expect(alone.get('x')).toEqual([0, 1, 2, 3, 4, 5]);
    const both = distribute(
      [
        { id: 'x', topics, claims: [0, 1, 2, 3, 4, 5] },
        { id: 'y', topics, claims: [] },
      ],
      6,
    );
    expect(both.get('x')).toHaveLength(3);
    expect(both.get('y')).toEqual([]);
    const later = distribute(
      [
        { id: 'x', topics, claims: both.get('x') ?? [] },
        { id: 'y', topics, claims: [] },
      ],
      6,
    );
    expect(later.get('x')).toEqual(both.get('x'));
    expect([...(later.get('x') ?? []), ...(later.get('y') ?? [])].toSorted((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 5,
    ]);
  });
});

test('a position speaks of partitions, in decimal offsets', () => {
  expect([offsetIn({ 3: '5' }, 3), offsetIn({ 3: '5' }, 4)]).toEqual([5n, null]);
  expect(() => offsetIn({ 3: '5-0' }, 3)).toThrow(/offset/);
  expect(() => offsetIn({ x: '5' }, 3)).toThrow(/offset/);
});

describe('sending', () => {
  const message = (key: string | null, body = 'x', partition: number | null = 0) => ({
    id: 'i',
    time: Date.now(),
    key,
    type: null,
    source: null,
    contentType: null,
    headers: {},
    control: null,
    body: Buffer.from(body),
    sendId: 'i',
    partition,
    delay: 0,
  });
  const leaders = [0, 1].map((partition) => ({ partition, leader: 1, replicas: 1 }));
  const settings = { maxMessageBytes: 131_072 };
  const refuse = (type: string, stored: 'no' | 'maybe'): SendResult => ({ error: typed(type), stored });

  test('a refusal for size is looked for record by record, and only the culprit and its key are left', async () => {
    const calls: number[] = [];
    const produce: Produce = async (_, batches) => {
      calls.push(...batches.map(({ records }) => records.length));
      return batches.map(({ records }) =>
        records.some(({ value }) => value.toString() === 'big') ? refuse('MESSAGE_TOO_LARGE', 'no') : { base: '4' },
      );
    };
    const messages = [message('a'), message('b', 'big'), message('b'), message('c')];
    const outcomes = await send(produce, 't', leaders, messages, settings, { turn: 0 });
    expect(outcomes.map(({ status }) => status)).toEqual(['confirmed', 'rejected', 'skipped', 'confirmed']);
    expect(calls).toEqual([4, 1, 1, 1]);
  });

  test('a batch keeps below the limit, and what follows an unknown one in its partition waits', async () => {
    const calls: number[][] = [];
    const produce: Produce = async (_, batches) => {
      calls.push(batches.map(({ partition }) => partition));
      return batches.map(({ partition }) => (partition === 0 ? refuse('REQUEST_TIMED_OUT', 'maybe') : { base: '0' }));
    };
    const large = 'x'.repeat(60_000);
    const messages = [message('a', large), message('a', large), message('a', large), message('z', 'x', 1)];
    const outcomes = await send(produce, 't', leaders, messages, settings, { turn: 0 });
    expect(outcomes.map(({ status }) => status)).toEqual(['unknown', 'unknown', 'skipped', 'confirmed']);
    expect(calls).toEqual([[0, 1]]);
  });

  test('messages without a key go to one partition a call, and each call to another', async () => {
    const seen: number[][] = [];
    const produce: Produce = async (_, batches) => {
      seen.push(batches.map(({ partition }) => partition));
      return batches.map(() => ({ base: '0' }));
    };
    const route = { turn: 0 };
    for (let call = 0; call < 3; call++)
      await send(produce, 't', leaders, [message(null, 'x', null), message(null, 'y', null)], settings, route);
    expect(seen).toEqual([[1], [0], [1]]);
  });
});
