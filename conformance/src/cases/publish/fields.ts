import type { HeaderValue } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { content, guard, lost } from '../../checkers/index.ts';
import { fitting } from './content.ts';

const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value);
const odd: readonly (readonly [string, HeaderValue])[] = [
  ['__proto__', 'a header like any other'],
  ['constructor', 'x'],
  ['hasOwnProperty', 'x'],
  ['toString', ''],
  ['UPPER', 'upper'],
  ['upper', 'lower'],
  ['with space', ' leading and trailing '],
  ['a.b-c_d:e/f', 'a=b;c="d",e'],
  ['1', 'a number for a name'],
  ['überschrift', 'ünï 日本語 🎉'],
  ['content-length', '17'],
  ['x-binary', everyByte],
  ['x-empty-bytes', new Uint8Array(0)],
  ['x-lines', 'one\r\ntwo: three\r\n\r\nfour'],
  ['x-long', 'v'.repeat(4_000)],
  ['n'.repeat(255), 'a long name'],
  ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  ['correlation-id', 'c-1'],
];

const keys: readonly string[] = [
  'plain',
  ' ',
  'with space',
  'a/b\\c',
  '日本語',
  '🎉',
  '%2F%',
  'new\nline',
  '\0',
  '__proto__',
  'k'.repeat(129),
  'K',
  'k',
  '0',
  '-1',
  '\u202e',
];

export const fieldsArrive: readonly ConformanceCase[] = [
  {
    id: 'P4.headers',
    guarantees: ['P4'],
    title: 'Headers with odd names, binary, empty and long values arrive as they were, and no others.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const received: Record<string, HeaderValue> = Object.create(null) as Record<string, HeaderValue>;
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') }, ({ headers }) => {
        if (Object.getPrototypeOf(headers) !== null) t.fail('the header map has a prototype');
        for (const name of Object.keys(headers)) received[name] = headers[name] as HeaderValue;
      });
      // `Object.fromEntries` makes an own property of `__proto__`.
      const messages = [...fitting(t, odd), []].map((some) => Object.fromEntries(some) as Record<string, HeaderValue>);
      const outcomes = await Promise.all(messages.map((headers) => t.publish(bus, orders, null, { headers })));
      t.equal(outcomes.filter(({ status }) => status !== 'confirmed').length, 0, 'messages that were not confirmed');
      await t.until(() => consumer.distinct >= messages.length, 'all are delivered');
      const wanted = messages.flatMap((headers) => Object.keys(headers));
      t.equal(Object.keys(received).toSorted(), wanted.toSorted(), 'header names');
      for (const headers of messages)
        for (const name of Object.keys(headers))
          t.equal(plain(received[name]), plain(headers[name]), `header '${name}'`);
      return t.judge(content(), lost(), guard({ confirmed: messages.length }));
    },
  },
  {
    id: 'P4.most-headers',
    guarantees: ['P4', 'P5'],
    title: 'As many headers as the broker takes arrive; one more is refused before anything is sent.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const { count, bytes } = t.supports.publish.headers;
      const many = Math.min(count ?? 200, 1_000, Math.floor((bytes ?? 1_000_000) / 10));
      const of = (number: number): Record<string, string> =>
        Object.fromEntries(Array.from({ length: number }, (_, index) => [`h${index}`, String(index % 10)]));
      t.equal((await t.publish(bus, orders, null, { headers: of(many) })).status, 'confirmed', `${many} headers`);
      let confirmed = 1;
      if (count !== null)
        await t.expectError(bus.publish(orders, stamp(t, 2), { headers: of(count + 1) }), 'too-large');
      if (bytes !== null) {
        const value = 'v'.repeat(bytes - 1);
        t.equal(
          (await t.publish(bus, orders, null, { headers: { h: value } })).status,
          'confirmed',
          `${bytes} bytes of headers`,
        );
        confirmed += 1;
        await t.expectError(bus.publish(orders, stamp(t, 3), { headers: { hh: value } }), 'too-large');
      }
      await t.until(() => consumer.distinct >= confirmed, 'what was confirmed is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.distinct, confirmed, 'delivered');
      return t.judge(content(), lost(), guard({ confirmed }));
    },
  },
  {
    id: 'P4.keys',
    guarantees: ['P4'],
    title: 'Keys with any characters, long and empty ones, arrive as they were; so does the absence of a key.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const spread = t.topicOf<{ n: number }>('spread');
      const bus = await t.connect({ topics: [spread] });
      const seen = new Map<number, string | null>();
      const consumer = await t.consume(
        bus,
        spread,
        { group: t.group('inventory') },
        ({ key, payload }) => void seen.set(payload.n, key),
      );
      const all = [...keys, ''];
      await Promise.all(all.map((key, n) => bus.publish(spread, { n }, { key })));
      await bus.publish(spread, { n: -1 });
      await t.until(() => consumer.distinct > all.length, 'all are delivered');
      for (const [n, key] of all.entries()) t.equal(seen.get(n), key, `key ${n}`);
      t.equal(seen.get(-1), null, 'the key of the message without one');
      return t.judge(content(), guard({ confirmed: all.length + 1 }));
    },
  },
  {
    id: 'P4.ordering-keys',
    guarantees: ['P4', 'O1', 'P5'],
    title: 'Ordering keys with any characters arrive as they were; a message without a key is refused.',
    needs: { 'order.key': true },
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const unkeyed = t.topicOf<{ k?: string }>('unkeyed', { key: ({ k }) => k as string });
      const bus = await t.connect({ topics: [orders, unkeyed] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const all = [...keys, ''];
      for (let round = 0; round < 3; round++) await Promise.all(all.map((key) => t.publish(bus, orders, key)));
      await t.until(() => consumer.distinct >= 3 * all.length, 'all are delivered');
      const came = new Set(consumer.deliveries.map(({ key }) => key ?? 'none'));
      t.equal([...came].toSorted(), all.toSorted(), 'keys');
      const error = await t.expectError(bus.publish(unkeyed, {}), 'invalid');
      t.ok(error.message.includes('key'), `the error names the key: ${error.message}`);
      return t.judge(content({ topic: orders }), lost({ topic: orders }), guard({ confirmed: 3 * all.length }));
    },
  },
  {
    id: 'P4.id-time-type-source',
    guarantees: ['P4'],
    title: 'Id, time, type, source and content type arrive as they were given.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topicOf<{ n: number }>('orders', { type: ({ n }) => `order.n${n % 3}` });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders], config: { source: 'shop' } });
      const seen = new Map<string, { type: string | null; source: string | null; time: number }>();
      const consumer = await t.consume(
        bus,
        orders,
        { group },
        ({ id, type, source, time }) => void seen.set(id, { type, source, time: time.getTime() }),
      );
      const ids = ['a', '0', '-', '~!@#$%^&*()', 'i'.repeat(255), 'A'];
      const times = [0, 1, 1_000, 1_600_000_000_123, Date.now(), 4_102_444_800_000];
      for (const [n, id] of ids.entries()) {
        const published = await bus.publish(orders, { n }, { id, time: new Date(times[n] ?? 0) });
        t.equal(published.id, id, 'the id that publish resolves with');
      }
      const began = Date.now();
      const { id: made } = await bus.publish(orders, { n: 7 });
      await t.until(() => consumer.distinct > ids.length, 'all are delivered');
      for (const [n, id] of ids.entries())
        t.equal(
          seen.get(id),
          { type: `order.n${n % 3}`, source: 'shop', time: times[n] },
          `fields of ${id.slice(0, 20)}`,
        );
      const own = seen.get(made);
      t.equal([own?.type, own?.source], ['order.n1', 'shop'], 'fields of a message without options');
      t.ok(own !== undefined && own.time >= began - 1 && own.time <= Date.now(), 'its time is that of its publish');
      return t.judge(content(), guard({ confirmed: 7 }));
    },
  },
  {
    id: 'P4.foreign-message',
    guarantees: ['P4'],
    title: 'A message of a program that does not use Waybill is delivered, with an id, a time and its own headers.',
    cost: 'quick',
    spy: true,
    run: async (t: CaseContext) => {
      const text = t.topicOf<string>('text', { codec: 'text' });
      const bus = await t.connect({ topics: [text] });
      const seen: { payload: string; id: string; header: HeaderValue | undefined; time: number; attempt: number }[] =
        [];
      await t.consume(bus, text, { group: t.group('inventory') }, ({ payload, id, headers, time }, { attempt }) => {
        seen.push({ payload, id, header: headers['x-own'], time: time.getTime(), attempt });
      });
      // Control headers of a stranger count for nothing.
      const headers = { 'x-own': 'yes', 'waybill-attempt': '4', 'waybill-group': 'other' };
      for (const body of ['one', 'two']) await t.spy.put(text.name, { body: Buffer.from(body), headers });
      await t.until(() => seen.length >= 2, 'both are delivered');
      t.equal(seen.map(({ payload }) => payload).toSorted(), ['one', 'two'], 'payloads');
      t.equal(new Set(seen.map(({ id }) => id)).size, 2, 'different ids');
      t.equal(
        seen.map(({ header, attempt }) => [header, attempt]),
        [
          ['yes', 1],
          ['yes', 1],
        ],
        'header and attempt',
      );
      t.ok(
        seen.every(({ time }) => Math.abs(time - Date.now()) < 3_600_000),
        'the times are of now',
      );
    },
  },
];

function plain(value: HeaderValue | undefined): unknown {
  return value instanceof Uint8Array ? ['bytes', ...value] : value;
}

function stamp(
  t: { readonly run: string; readonly id: string },
  seq: number,
): { run: string; case: string; key: null; seq: number } {
  return { run: t.run, case: t.id, key: null, seq };
}
