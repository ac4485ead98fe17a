import { type HeaderValue, topic } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { content, guard, lost } from '../../checkers/index.ts';
import { largestTried } from './outcomes.ts';
import { type StandardSchema, schemaOf, schemaOfParsed } from './schemas.ts';

const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value);
const bodies: readonly Uint8Array[] = [
  new Uint8Array(0),
  Uint8Array.of(0),
  Uint8Array.of(255),
  everyByte,
  Uint8Array.of(0xc3, 0x28, 0xa0, 0xa1), // not UTF-8
  Uint8Array.of(0xef, 0xbb, 0xbf, 0x41), // a byte order mark is a part of it
  Buffer.from('plain text'),
  Buffer.from('{"looks":"like JSON"}'),
];
const texts: readonly string[] = [
  '',
  'x',
  ' ',
  '\0',
  '\ufeffmark',
  'line\r\nline\n',
  'zażółć 日本語 🎉 e\u0301',
  '\u202eabc',
  '{"a":1}',
];
const values: readonly unknown[] = [
  null,
  true,
  0,
  -1.5e-7,
  '',
  'text',
  [],
  {},
  [null, [1]],
  { __proto: 1, 'a b': { c: ['ü'] } },
];

export const bodiesArrive: readonly ConformanceCase[] = [
  {
    id: 'P4.bodies',
    guarantees: ['P4'],
    title: 'Bytes, text and JSON arrive as they were: empty, binary, not UTF-8, with marks and controls.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const bytes = t.topicOf<Uint8Array>('bytes', { codec: 'bytes' });
      const text = t.topicOf<string>('text', { codec: 'text' });
      const json = t.topicOf<unknown>('json');
      const bus = await t.connect({ topics: [bytes, text, json] });
      const group = t.group('inventory');
      const consumers = [
        await t.consume(bus, bytes, { group }),
        await t.consume(bus, text, { group }),
        await t.consume(bus, json, { group }),
      ];
      await Promise.all([
        ...bodies.map((body) => bus.publish(bytes, body)),
        ...texts.map((body) => bus.publish(text, body)),
        ...values.map((body) => bus.publish(json, body)),
      ]);
      const total = bodies.length + texts.length + values.length;
      const come = (): number => consumers.reduce((sum, consumer) => sum + consumer.distinct, 0);
      await t.until(() => come() >= total, `all ${total} are delivered`);
      return t.judge(content(), lost(), guard({ confirmed: total, returned: total }));
    },
  },
  {
    id: 'P4.largest-body',
    guarantees: ['P4', 'P5'],
    title: 'A body of exactly the largest size arrives, text and binary; one byte more is refused.',
    cost: 'slow',
    declinedBy: ({ publish: { size } }) =>
      Math.max(size.text, size.binary) <= largestTried ? null : 'publish.size is above what the suite tries',
    run: async (t: CaseContext) => {
      const { text: mostText, binary: mostBinary } = t.supports.publish.size;
      const bytes = t.topicOf<Uint8Array>('bytes', { codec: 'bytes' });
      const bus = await t.connect({ topics: [bytes] });
      const consumer = await t.consume(bus, bytes, { group: t.group('inventory') });
      const binary = new Uint8Array(mostBinary + 1).fill(0xff);
      for (let at = 0; at < mostBinary; at += 1_021) binary[at] = at % 256;
      const plain = new Uint8Array(mostText + 1).fill(0x61);
      await bus.publish(bytes, binary.subarray(0, mostBinary));
      await bus.publish(bytes, plain.subarray(0, mostText));
      for (const body of [binary, plain]) {
        const error = await t.expectError(bus.publish(bytes, body), 'too-large');
        t.ok(error.message.includes(String(body.byteLength)), `the error names the size: ${error.message}`);
      }
      await t.until(() => consumer.distinct >= 2, 'both are delivered');
      await t.straggle();
      t.equal(consumer.distinct, 2, 'delivered');
      return t.judge(content(), lost(), guard({ confirmed: 2, rejected: 2 }));
    },
  },
  {
    id: 'P4.a-reused-buffer',
    guarantees: ['P4'],
    title: 'What a publisher does with its buffer after the confirm does not change the message.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const bytes = t.topicOf<Uint8Array>('bytes', { codec: 'bytes' });
      const group = t.group('inventory');
      const config = { topics: { [bytes.name]: { groups: [group] } } };
      const bus = await t.connect({ topics: [bytes], config });
      const buffer = new Uint8Array(1_000);
      for (let value = 1; value <= 50; value++) {
        buffer.fill(value);
        await bus.publish(bytes, buffer);
      }
      buffer.fill(0);
      const consumer = await t.consume(bus, bytes, { group });
      await t.until(() => consumer.distinct >= 50, 'all are delivered');
      return t.judge(content(), lost({ since: 'all' }), guard({ confirmed: 50 }));
    },
  },
  {
    id: 'P4.codecs',
    guarantees: ['P4'],
    title:
      "A topic that lists several codecs reads each message by its content type; without one, by the topic's first.",
    cost: 'quick',
    run: async (t: CaseContext) => {
      const json = t.topicOf<unknown>('mixed', { codec: ['json', 'text', 'bytes'] });
      const bus = await t.connect({ topics: [json] });
      const seen: unknown[] = [];
      const consumer = await t.consume(
        bus,
        json,
        { group: t.group('inventory') },
        ({ payload }) => void seen.push(payload),
      );
      const payloads = [{ a: 1 }, 'text', everyByte] as const;
      for (const [index, codec] of (['json', 'text', 'bytes'] as const).entries()) {
        // Another program, which declares the topic with one codec.
        const writer = await t.connect();
        await writer.publish(topic(json.name, { codec }), payloads[index]);
      }
      await t.until(() => consumer.distinct >= 3, 'all are delivered');
      const [first, second, third] = (['object', 'string', 'bytes'] as const).map((kind) =>
        seen.find((one) => kind === (one instanceof Uint8Array ? 'bytes' : typeof one)),
      );
      t.equal([first, second, [...((third ?? []) as Uint8Array)]], [{ a: 1 }, 'text', [...everyByte]], 'payloads');
      return t.judge(content(), guard({ confirmed: 3 }));
    },
  },
  {
    id: 'P4.newer-schema',
    guarantees: ['P4', 'R8'],
    title: 'A consumer with a newer, compatible schema reads old messages, with its defaults.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const old = t.topicOf<{ n: number }>('orders', { schema: hasNumber });
      const newer = topic<{ n: number; unit: string }, { n: number }>(old.name, { schema: hasUnit });
      const writer = await t.connect({ topics: [old] });
      const reader = await t.connect();
      const seen: unknown[] = [];
      const consumer = await t.consume(
        reader,
        newer as never,
        { group: t.group('inventory') },
        ({ payload }) => void seen.push(payload),
      );
      for (let n = 1; n <= 20; n++) await writer.publish(old, { n });
      await t.until(() => consumer.distinct >= 20, 'all are delivered');
      t.equal(seen.length, 20, 'payloads');
      t.equal(
        seen.every((one) => (one as { unit?: string }).unit === 'piece'),
        true,
        'every payload has the default',
      );
    },
  },
];

const hasNumber: StandardSchema<{ n: number }> = schemaOf((value) =>
  typeof (value as { n?: unknown }).n === 'number' ? null : 'n must be a number',
);
const hasUnit: StandardSchema<{ n: number; unit: string }, { n: number }> = schemaOfParsed((value) => {
  const { n, unit = 'piece' } = value as { n?: unknown; unit?: string };
  return typeof n === 'number' ? { value: { n, unit } } : { message: 'n must be a number' };
});

/** Headers that fit this broker. */
export function fitting(
  t: CaseContext,
  wanted: readonly (readonly [string, HeaderValue])[],
): [string, HeaderValue][][] {
  const { count, bytes } = t.supports.publish.headers;
  const messages: [string, HeaderValue][][] = [];
  let room = 0;
  let left = 0;
  for (const [name, value] of wanted) {
    const size = Buffer.byteLength(name) + Buffer.byteLength(value);
    if (left < 1 || room < size) {
      messages.push([]);
      left = Math.min(count ?? 50, 50);
      room = bytes ?? Number.POSITIVE_INFINITY;
    }
    if (size > room) continue;
    messages.at(-1)?.push([name, value]);
    left -= 1;
    room -= size;
  }
  return messages.filter((message) => message.length > 0);
}
