import type { PublishOptions } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import type { Stamped } from '../../case-types.ts';
import { guard, lost, phantom } from '../../checkers/index.ts';
import { largestTried } from './outcomes.ts';
import { schemaOf } from './schemas.ts';

export const invalid: readonly ConformanceCase[] = [
  {
    id: 'P5.too-large',
    guarantees: ['P5'],
    title: 'A message that is too large is refused with a typed error that names size and limit; nothing is sent.',
    cost: 'quick',
    declinedBy: ({ publish: { size } }) =>
      Math.max(size.text, size.binary) <= largestTried ? null : 'publish.size is above what the suite tries',
    run: async (t: CaseContext) => {
      const { text: mostText, binary: mostBinary } = t.supports.publish.size;
      const text = t.topicOf<string>('text', { codec: 'text' });
      const bytes = t.topicOf<Uint8Array>('bytes', { codec: 'bytes' });
      const groups = [t.group('inventory')];
      const bus = await t.connect({ topics: [text, bytes], config: { topics: { [text.name]: { groups } } } });
      const binary = new Uint8Array(mostBinary + 1).fill(0xff);
      for (const publish of [bus.publish(text, 'x'.repeat(mostText + 1)), bus.publish(bytes, binary)]) {
        const error = await t.expectError(publish, 'too-large');
        t.equal('outcome' in error && error.outcome, 'rejected', 'its outcome');
        t.ok(
          error.message.includes(String(mostText)) || error.message.includes(String(mostBinary)),
          `it names the limit: ${error.message}`,
        );
      }
      nothingSent(t);
      await bus.publish(text, 'small');
      t.equal(t.history.of('send').length, 1, 'sends after a good message');
    },
  },
  {
    id: 'P5.invalid-headers',
    guarantees: ['P5', 'P4'],
    title: 'Headers that are reserved, or no strings or bytes, are refused with a typed error; nothing is sent.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      await t.provision(orders, [t.group('inventory')]);
      const bus = await t.connect({ topics: [orders] });
      const names = [
        'waybill-id',
        'waybill-attempt',
        'Waybill-Group',
        'WAYBILL-',
        'content-type',
        'Content-Type',
        '',
        'n'.repeat(256),
      ];
      const values = [1, null, undefined, {}, [], true, new Date(0), new ArrayBuffer(1)];
      const bad = [
        ...names.map((name) => ({ headers: { [name]: 'x' } })),
        ...values.map((value) => ({ headers: { 'x-value': value } })),
        { headers: 'text' },
        { headers: ['x'] },
        { headers: null },
      ] as unknown as PublishOptions[];
      for (const options of bad) await refused(t, bus.bus.publish(orders, stamp(t), options), JSON.stringify(options));
      nothingSent(t);
      t.equal((await t.publish(bus, orders, null, { headers: { 'x-good': 'x' } })).status, 'confirmed', 'a good one');
    },
  },
  {
    id: 'P5.invalid-messages',
    guarantees: ['P5', 'P2'],
    title:
      'Payloads that do not match, bad ids, times, keys and options are refused with a typed error; nothing is sent.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const strict = t.topicOf<{ n: number }>('strict', {
        schema: schemaOf((value) => ('n' in (value as object) ? null : 'n is missing')),
      });
      const bytes = t.topicOf<Uint8Array>('bytes', { codec: 'bytes' });
      const bus = await t.connect({ topics: [orders, strict, bytes] });
      const options: unknown[] = [
        { id: '' },
        { id: 'i'.repeat(256) },
        { id: 'with space' },
        { id: 'ü' },
        { id: 7 },
        { time: new Date(Number.NaN) },
        { key: 'half \ud83c' },
        { key: 7 },
        { delay: 'soon' },
        { delay: -1 },
        { expires: 'never' },
        { priority: 9 },
        { retries: 1 },
      ];
      for (const option of options)
        await refused(t, bus.bus.publish(orders, stamp(t), option as PublishOptions), JSON.stringify(option));
      await refused(t, bus.bus.publish(strict, {} as { n: number }), 'a payload without n');
      await refused(t, bus.bus.publish(bytes, 'text' as unknown as Uint8Array), 'text for the bytes codec');
      await refused(t, bus.bus.publish(t.topicOf<unknown>('json'), undefined), 'undefined as JSON');
      await refused(
        t,
        bus.bus.publish(t.topicOf<unknown>('json'), () => 1),
        'a function as JSON',
      );
      nothingSent(t);
    },
  },
  {
    id: 'P5.refused-is-stored-nowhere',
    guarantees: ['P5', 'P1'],
    title: 'What was refused as invalid reaches nobody, between good messages that do.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          t.publish(bus, orders, null, index % 2 === 0 ? {} : { headers: { 'waybill-attempt': '3' } }),
        ),
      );
      t.equal(
        outcomes.map(({ status }) => status),
        outcomes.map((_, index) => (index % 2 === 0 ? 'confirmed' : 'rejected')),
        'outcomes',
      );
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(phantom(), lost(), guard({ confirmed: 50, rejected: 50 }));
    },
  },
];

async function refused(t: CaseContext, publish: Promise<unknown>, what: string): Promise<void> {
  const [result] = await Promise.allSettled([publish]);
  t.equal(result.status, 'rejected', `publish with ${what}`);
  const error = await t.expectError(publish, 'invalid');
  t.equal('outcome' in error && error.outcome, 'rejected', `the outcome with ${what}`);
}

function nothingSent(t: CaseContext): void {
  t.equal(t.history.of('send').length, 0, 'sends to the broker');
}

function stamp(t: CaseContext): Stamped {
  return { run: t.run, case: t.id, key: null, seq: 1 };
}
