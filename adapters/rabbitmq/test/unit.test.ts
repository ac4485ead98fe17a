import { EventEmitter } from 'node:events';
import { WaybillError } from '@waybill/core/adapter';
import type { Message } from 'amqplib';
import { describe, expect, test, vi } from 'vitest';
import { Connection } from '../src/connection.ts';
import { deliveryOf } from '../src/delivery.ts';
import { heldBack, LONGEST, UNIT } from '../src/delays.ts';
import { classify } from '../src/errors.ts';
import { createAdapter, manifests, rabbitmq } from '../src/index.ts';
import { Ledger } from '../src/ledger.ts';
import { envelopeOf, propertiesOf } from '../src/message.ts';
import { Outlived } from '../src/outlived.ts';
import { countOf, queuesOf, routingKey } from '../src/names.ts';

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
    [{ url: 'amqp://h?heartbeat=5' }, /heartbeat/],
    [{ url: 'amqp://h?sasl=none' }, /sasl/],
    [{ sasl: 'external' }, /amqps/],
    [{ url: 'amqps://u@h', sasl: 'external' }, /certificate/],
    [{ tls: {} }, /amqps/],
    [{ vhost: '' }, /vhost/],
    [{ server: '3.9' }, /server/],
    [{ queues: 'stream' }, /queues/],
    [{ queues: 'classic', deliveryLimit: 100 }, /deliveryLimit/],
    [{ deliveryLimit: 3 }, /deliveryLimit/],
    [{ maxLength: 0 }, /maxLength/],
    [{ delays: 1 }, /delays/],
    [{ heartbeat: 1_500 }, /whole seconds/],
    [{ heartbeat: '1h' }, /heartbeat/],
    [{ consumerTimeout: '1s' }, /consumerTimeout/],
    [{ timeout: 1 }, /timeout/],
  ])('%j is refused', (options, pattern) => {
    expect(() => rabbitmq(options as never)).toThrow(pattern);
  });

  test('no error shows the password', () => {
    for (const url of ['amqp://:marker-pw@h?x=1', 'amqp://:marker-pw@h:99999', 'ftp://u:marker-pw@h'])
      expect(() => rabbitmq({ url })).toThrow(/^(?!.*marker-pw)/s);
    expect(() => rabbitmq({ password: { marker: 'marker-pw' } as never })).toThrow(/^(?!.*marker-pw)/s);
  });

  test('the manifest is that of the options, frozen, and equal by both doors', () => {
    const { supports } = createAdapter({ url: 'amqp://h?server=4.0', options: {}, client: 'x' });
    expect(supports.order.spread.by).toBe('emulated');
    expect(rabbitmq().supports.order.spread.by).toBe('refused');
    expect(rabbitmq({ server: '4.3', queues: 'classic' }).supports.order.spread.by).toBe('refused');
    expect(rabbitmq({ queues: 'classic' }).supports.settle.deliveryCount.by).toBe('refused');
    expect(rabbitmq({ delays: false }).supports.requeue.by).toBe('refused');
    expect(Object.isFrozen(supports.publish.delay)).toBe(true);
    expect(JSON.parse(JSON.stringify(supports))).toEqual(supports);
    expect(manifests['amqps']).toEqual(rabbitmq().supports);
  });
});

describe('names', () => {
  test('of queues are those of the design', () => {
    expect(queuesOf(destination, 'inv', null)).toEqual([{ queue: 'prod___orders__inv', partition: 0 }]);
    expect(queuesOf(destination, 'inv', 'old')).toEqual([{ queue: 'old', partition: 0 }]);
    const ordered = { ...destination, partitions: 2, ordered: true };
    expect(queuesOf(ordered, 'inv', null).map(({ queue }) => queue)).toEqual([
      'prod___orders__inv__2__0',
      'prod___orders__inv__2__1',
    ]);
    expect(() => queuesOf(ordered, 'inv', 'old')).toThrow(/ordered/);
    expect(countOf('orders')).toBe('orders__0');
  });

  test('route by partition, then by type, and a type is never taken for a partition', () => {
    expect(routingKey(null, null, null)).toBe('-');
    expect(routingKey(null, null, 'order.paid')).toBe('order.paid');
    expect(routingKey(null, null, '12.3')).toBe('-');
    expect(routingKey(12, 3, null)).toBe('12.3');
    expect(routingKey(12, 3, 'order.paid')).toBe('12.3.order.paid');
    expect(routingKey(12, 3, 'x'.repeat(300))).toBe('12.3');
  });
});

const message = {
  id: 'm1',
  time: 1_700_000_000_123,
  key: 'k',
  type: 'order.paid',
  source: 'shop',
  contentType: 'application/json',
  headers: { plain: 'text', bytes: Buffer.from([0, 255]) },
  control: null,
  body: new Uint8Array([1, 2, 3]),
  sendId: 'm1',
  partition: null,
  delay: 0,
} as const;

const uuidv7At = (time: number): string =>
  `${time.toString(16).padStart(12, '0').replace(/^.{8}/, '$&-')}-7abc-8def-0123456789ab`;

/** As it would come back. */
function arrived(properties: object, content: Uint8Array = message.body): Message {
  return { content: Buffer.from(content), properties, fields: { exchange: 'x' } } as unknown as Message;
}

describe('messages', () => {
  test('use AMQP\u2019s own properties', () => {
    const properties = propertiesOf(message);
    expect(properties).toMatchObject({
      messageId: 'm1',
      timestamp: 1_700_000_000,
      type: 'order.paid',
      appId: 'shop',
      contentType: 'application/json',
      persistent: true,
      mandatory: true,
    });
    expect(Object.keys(properties.headers ?? {})).toEqual(['waybill-time', 'waybill-key', 'plain', 'bytes']);
    const back = envelopeOf(arrived(properties));
    const { sendId: _, partition: __, delay: ___, ...envelope } = message;
    expect({ ...back, headers: { ...back.headers } }).toEqual({ ...envelope, body: Buffer.from([1, 2, 3]) });
  });

  test('carry what AMQP can not hold, or would act upon', () => {
    const odd = {
      ...message,
      id: 'ü'.repeat(200),
      type: 't'.repeat(300),
      headers: Object.fromEntries(
        ['CC', 'BCC', '__proto__', 'x-death', 'x-delivery-count', 'n'.repeat(255), 'ü'.repeat(200)].map((name) => [
          name,
          'value',
        ]),
      ),
    };
    const properties = propertiesOf(odd);
    expect(properties.messageId).toMatch(/^[\da-f]{64}$/);
    expect(properties.type).toBeUndefined();
    expect(Object.keys(properties.headers ?? {})).not.toEqual(expect.arrayContaining(['CC']));
    expect(Object.keys(properties.headers ?? {})).not.toEqual(expect.arrayContaining(['x-death']));
    const back = envelopeOf(arrived(properties));
    expect([back.id, back.type, { ...back.headers }]).toEqual([odd.id, odd.type, odd.headers]);
  });

  test('of other programs are taken as they are', () => {
    const back = envelopeOf(
      arrived({
        headers: {
          number: 7,
          flag: true,
          none: null,
          list: ['a', 1],
          when: { '!': 'timestamp', value: 5 },
          'x-death': [{ count: 1 }],
          'x-first-death-queue': 'q',
          'x-delivery-count': 4,
          'x-other': 'kept',
        },
        timestamp: 1_700_000_000,
        contentType: 'text/plain',
      }),
    );
    expect({ ...back.headers }).toEqual({
      number: '7',
      flag: 'true',
      none: 'null',
      list: '["a",1]',
      when: '{"!":"timestamp","value":5}',
      'x-other': 'kept',
    });
    expect([back.time, back.key, back.contentType, back.control]).toEqual([
      1_700_000_000_000,
      null,
      'text/plain',
      null,
    ]);
    expect(back.id).toMatch(/^[\da-f-]{36}$/);
    const bare = envelopeOf(arrived({ headers: undefined, timestamp: 1_700_000_000_123 }));
    expect([bare.time, bare.contentType]).toEqual([1_700_000_000_123, null]);
  });

  test('have no table where their properties say it all', () => {
    const time = 1_700_000_000_123;
    const id = uuidv7At(time);
    const bare = { ...message, id, sendId: id, time, key: null, headers: {} };
    const properties = propertiesOf(bare);
    expect(properties.headers).toBeUndefined();
    expect([envelopeOf(arrived(properties)).time, envelopeOf(arrived(properties)).id]).toEqual([time, id]);
    for (const other of [time + 1, time + 1_000, 0]) {
      const later = propertiesOf({ ...bare, time: other });
      expect(later.headers).toEqual({ 'waybill-time': String(other) });
      expect(envelopeOf(arrived(later)).time).toBe(other);
    }
    // Another program's time is its own, whatever its id was made for.
    expect(envelopeOf(arrived({ messageId: id, timestamp: 1_600_000_000 })).time).toBe(1_600_000_000_000);
  });

  test('keep no more of the socket\u2019s buffer than they need', () => {
    const chunk = Buffer.alloc(65_536, 1);
    const { body } = envelopeOf(arrived({}, chunk.subarray(0, 100)));
    expect(body.byteLength).toBe(100);
    expect(body.buffer).not.toBe(chunk.buffer);
  });
});

test('a ledger tells up to where all is settled, and what is left', () => {
  const ledger = new Ledger<{ name: string }>();
  for (const name of 'abcde') ledger.came({ name });
  const settle = (tag: number): string | null => ledger.settle(tag)?.name ?? null;
  expect([settle(2), settle(3), ledger.mark]).toEqual(['b', 'c', 1]);
  expect([settle(1), ledger.mark, ledger.open]).toEqual(['a', 4, 2]);
  expect([settle(1), settle(3), settle(6), settle(0)]).toEqual([null, null, null, null]);
  expect(ledger.left.map(({ name }) => name)).toEqual(['d', 'e']);
  expect([settle(5), settle(5), ledger.mark]).toEqual(['e', null, 4]);
  expect([settle(4), ledger.mark, ledger.open]).toEqual(['d', 6, 0]);
});

test('a ledger keeps its tags however many were settled', () => {
  const ledger = new Ledger<{ tag: number }>();
  let wrong = 0;
  for (let tag = 1; tag <= 10_000; tag++) {
    ledger.came({ tag });
    if (tag > 5 && ledger.settle(tag - 5)?.tag !== tag - 5) wrong++;
  }
  expect(wrong).toBe(0);
  expect([ledger.mark, ledger.open, ledger.find(9_996)?.tag, ledger.find(9_995)]).toEqual([9_996, 5, 9_996, null]);
});

describe('the delivery count', () => {
  const source = { queue: 'q', partition: 0, inbox: null, counted: true, suspect: 7 };
  const countAfter = (returns: number, outlived: Outlived, of = source): number | null => {
    const headers = returns === 0 ? {} : { 'x-delivery-count': returns };
    return deliveryOf(arrived({ messageId: 'm', headers }), of, null, outlived).deliveryCount;
  };

  test('leaves out what this process has outlived', () => {
    const outlived = new Outlived();
    expect([countAfter(0, outlived), countAfter(4, outlived)]).toEqual([1, 5]);
    for (let cut = 0; cut < 3; cut++) outlived.add('q', 'm');
    expect([countAfter(3, outlived), countAfter(4, outlived), countAfter(1, outlived)]).toEqual([1, 2, 1]);
    expect(countAfter(4, outlived, { ...source, queue: 'other' })).toBe(5);
    outlived.forget('q', 'm');
    expect(countAfter(4, outlived)).toBe(5);
    expect(countAfter(4, outlived, { ...source, counted: false })).toBeNull();
  });

  test('remembers so many messages, the latest', () => {
    const outlived = new Outlived();
    outlived.add('q', 'often');
    for (let id = 0; id < 9_999; id++) outlived.add('q', String(id));
    outlived.add('q', 'often');
    outlived.add('q', 'one more');
    expect([outlived.of('q', 'often'), outlived.of('q', '0'), outlived.of('q', '1')]).toEqual([2, 0, 1]);
  });
});

test('a delay is never shortened, and lengthened by less than a unit', () => {
  for (const delay of [1, UNIT, UNIT + 1, 999, 5_000, 33_333, 3_600_000, LONGEST]) {
    const { exchange, headers } = heldBack('orders', delay);
    const levels = Object.keys(headers).filter((name) => /\d$/.test(name));
    const held = levels.reduce(
      (sum, name) => sum + (headers[name] === '1' ? UNIT * 2 ** Number(name.split('-').at(-1)) : 0),
      0,
    );
    expect(held).toBeGreaterThanOrEqual(delay);
    expect(held).toBeLessThan(delay + UNIT);
    expect(exchange).toBe(`__delay__${levels.length - 1}`);
    expect(headers[`waybill-delay-${levels.length - 1}`]).toBe('1');
  }
});

test('a goodbye does not wait for a connection that breaks meanwhile', async () => {
  vi.useFakeTimers();
  const silent = Object.assign(new EventEmitter(), {
    close: () => new Promise(() => undefined),
    connection: { stream: { destroy: () => undefined } },
  });
  const closing = Connection.of(silent as never).close();
  silent.emit('close', new Error('read ECONNRESET'));
  await closing; // no time passes here, so without the break it would wait for ever
  vi.useRealTimers();
});

describe('errors', () => {
  const coded = (code: number | string, text: string): Error => Object.assign(new Error(text), { code });
  test.each([
    [new WaybillError('denied', 'no'), 'denied'],
    [coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5672'), 'disconnected'],
    [new Error('Heartbeat timeout'), 'disconnected'],
    [new Error('Unexpected close'), 'disconnected'],
    [new Error('Connection closed (by client)'), 'disconnected'],
    [new Error('Socket closed abruptly during opening handshake'), 'disconnected'],
    [new Error('connect ETIMEDOUT'), 'disconnected'],
    [coded(320, 'Connection closed: 320 (CONNECTION-FORCED)'), 'disconnected'],
    [new Error('Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED"'), 'denied'],
    [coded(403, 'Operation failed: QueueDeclare; 403 (ACCESS-REFUSED)'), 'denied'],
    [coded(404, 'Operation failed: QueueDeclare; 404 (NOT-FOUND)'), 'not-found'],
    [coded(406, 'PRECONDITION_FAILED - inequivalent arg'), 'invalid'],
    [coded(406, 'PRECONDITION_FAILED - message size 20 is larger than configured max size 10'), 'too-large'],
    [coded(406, 'PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out'), 'unavailable'],
    [new RangeError('Encoded field table (headers or arguments) exceeds the 65536 byte encoding buffer'), 'too-large'],
    [new Error('message nacked'), 'throttled'],
    [new Error('Channel closed'), 'unavailable'],
    [new Error('Channel ended, no reply will be forthcoming'), 'unavailable'],
    [new Error('self-signed certificate'), 'disconnected'],
    [coded(541, 'INTERNAL_ERROR'), 'unclassified'],
    [new Error('something else'), 'unclassified'],
    ['text', 'unclassified'],
  ])('%s is %s', (error, code) => {
    expect(classify(error)).toBe(code);
  });
});
