import { type Codec, fixed, type Topic, topic } from '@waybill/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Control } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus, Stamped } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { wrapped } from '../wrapped.ts';
import { deadLetters, heard } from './letters.ts';

type Orders = Topic<Stamped>;

/** Calls itself JSON and writes whatever bytes it is given. */
const pretender: Codec = {
  name: 'pretender',
  contentType: 'application/json',
  encode: (payload) => payload as Uint8Array,
  decode: (body) => body,
};

/** The same topic as seen by a program that writes something else to it. */
function stranger<T>(orders: Orders, codec: 'bytes' | 'text' | Codec): Topic<T> {
  if (!orders.ordered) return topic<T>(orders.name, { codec });
  return topic<T>(orders.name, { codec, key: () => 'k1' });
}

/** Refuses negative numbers and what is no number, at once or after a while. */
function schemaOf(late: boolean): StandardSchemaV1<Stamped> {
  const judge = (value: unknown): StandardSchemaV1.Result<Stamped> => {
    const stamp = value as Stamped;
    if (typeof stamp === 'object' && stamp !== null && stamp.data !== 'bad') return { value: stamp };
    return { issues: [{ message: 'data must not be bad', path: ['data'] }] };
  };
  const validate = (value: unknown): StandardSchemaV1.Result<Stamped> | Promise<StandardSchemaV1.Result<Stamped>> =>
    late ? Promise.resolve().then(() => judge(value)) : judge(value);
  return { '~standard': { version: 1, vendor: 'conformance', validate } };
}

async function poisons(t: CaseContext, bus: CaseBus, orders: Orders): Promise<string[]> {
  const bytes = Uint8Array.of(0xff, 0xfe, 0x00, 0x7b);
  const sent = [
    await bus.bus.publish(stranger<Uint8Array>(orders, pretender), bytes),
    await bus.bus.publish(stranger<Uint8Array>(orders, pretender), Buffer.from('{"cut off": ')),
    await bus.bus.publish(stranger<Uint8Array>(orders, pretender), new Uint8Array()),
  ];
  // Another content type, for which the topic has no codec.
  const elsewhere = await t.connect();
  sent.push(await elsewhere.bus.publish(stranger<Uint8Array>(orders, 'bytes'), bytes));
  return sent.map((one) => one.id);
}

function poisonCase(ordered: boolean): ConformanceCase {
  return {
    id: ordered ? 'R8.undecodable-in-a-key' : 'R8.undecodable',
    guarantees: ordered ? ['R8', 'O2'] : ['R8'],
    title: ordered
      ? 'A message that can not be decoded is dead-lettered at once, and the rest of its key goes on.'
      : 'A message that can not be decoded is dead-lettered at once and stops nothing.',
    ...(ordered ? { needs: { 'order.key': true } as const } : {}),
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: ordered ? 'key' : 'none' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const consumer = await t.consume(bus, orders, {
        group,
        concurrency: 4,
        retry: { attempts: 5, backoff: fixed(500) },
      });
      const keys = ordered ? 3 : 0;
      await t.load(bus, orders, { keys, each: 5 });
      // Published behind the recorder's back: no handler may see them.
      const other = await t.connect();
      const ids = await poisons(t, other, orders);
      await t.load(bus, orders, { keys, each: 5 });
      await t.until(() => dead.length >= ids.length, 'the undecodable ones are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.count, 10 * Math.max(1, keys), 'messages that reached the handler');
      t.equal(new Set(dead.map((one) => one.id)), new Set(ids), 'messages that were dead-lettered');
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(
        letters.map((one) => one.code),
        ids.map(() => 'poison'),
        'codes',
      );
      const bodies = letters.map((one) => Buffer.from(one.body).toString('hex')).toSorted();
      const expected = ['fffe007b', Buffer.from('{"cut off": ').toString('hex'), '', 'fffe007b'].toSorted();
      t.equal(bodies, expected, 'bodies of the dead letters');
      return t.judge(attempts(), lost(), guard({ confirmed: 10 }), ...(ordered ? [reordered(), overlapped()] : []));
    },
  };
}

export const poison: readonly ConformanceCase[] = [
  poisonCase(false),
  poisonCase(true),
  ...[false, true].map((late): ConformanceCase => ({
    id: late ? 'R8.schema-late' : 'R8.schema',
    guarantees: ['R8', 'R1'],
    title: `A message that a consumer's schema refuses${late ? ' after a while' : ''} is dead-lettered without a handler run, with the reason.`,
    cost: 'quick',
    run: async (t) => {
      const plain = t.topic('orders');
      const strict = topic<Stamped>(plain.name, { schema: schemaOf(late) });
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [plain] });
      const bus = await t.connect();
      const dead = heard(bus, 'dead-lettered');
      const consumer = await t.consume(bus, strict, { group });
      await t.load(publisher, plain, { each: 40, data: (_key, seq) => (seq % 4 === 0 ? 'bad' : 'good') });
      await t.until(() => dead.length >= 10, 'ten are dead-lettered');
      await t.sentinel(publisher, plain, [consumer]);
      t.equal(consumer.count, 30, 'messages that reached the handler');
      const letters = await deadLetters(t, bus, plain, group);
      t.equal(
        letters.map((one) => one.code),
        letters.map(() => 'poison'),
        'codes',
      );
      t.equal(letters.length, 10, 'dead letters');
      for (const { message } of letters)
        t.ok(message.includes('data must not be bad'), `the reason is there: '${message}'`);
      return t.judge(attempts(), lost({ except: (one) => (one.seq ?? 0) % 4 === 0 }), guard({ returned: 30 }));
    },
  })),
  {
    id: 'R8.forged-control',
    guarantees: ['R8', 'R1', 'R7'],
    title: 'Control headers that a stranger has written to a topic change nothing, and are counted.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const control: Control = {
        attempt: 99,
        notBefore: Date.now() + 3_600_000,
        group: 'another',
        dead: { topic: 'elsewhere', group: 'another', attempts: '7', code: 'forged' },
      };
      const forger = await t.connect({
        topics: [orders],
        wrap: (adapter) =>
          wrapped(adapter, {
            publish: (destination, messages, signal) =>
              adapter.publish(
                destination,
                messages.map((message) => ({ ...message, control })),
                signal,
              ),
          }),
      });
      const bus = await t.connect({ topics: [orders] });
      const forged = heard(bus, 'forged-headers');
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 2, backoff: fixed(10) };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq % 2 === 0) throw new Error('refused');
      });
      await t.load(forger, orders, { each: 10 });
      await t.until(() => dead.length >= 5 && consumer.returned >= 5, 'half are handled, half dead-lettered');
      t.equal(new Set(forged.map((one) => one.id)).size, 10, 'messages whose forged headers were reported');
      t.equal(consumer.threw, 10, 'failed runs: attempts begin at 1 whatever the headers say');
      const letters = await deadLetters(t, bus, orders, group);
      const places = letters.map((one) => [one.topic, one.group, one.attempts, one.code]);
      t.equal(
        places,
        letters.map(() => [orders.name, group, 2, 'exhausted']),
        'what the dead letters say',
      );
      t.equal((await bus.dlq(orders, group).redrive({ all: true })).redriven, 5, 'redriven');
      await t.until(() => dead.length >= 10, 'they come again to this group, and fail again');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(attempts({ expected: 2 }), lost(), guard({ confirmed: 10 }));
    },
  },
  {
    id: 'R8.malformed-control',
    guarantees: ['R8'],
    title: 'A control header that is out of bound makes its message poison, and stops nothing.',
    cost: 'quick',
    spy: true,
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const consumer = await t.consume(bus, orders, { group });
      const stamp = (seq: number): Uint8Array =>
        Buffer.from(JSON.stringify({ run: t.run, case: t.id, key: null, seq }));
      const values = ['soon', '-1', '1e99', '9'.repeat(400)];
      for (const [index, value] of values.entries())
        await t.spy.put(orders.name, {
          body: stamp(1_000 + index),
          headers: { 'content-type': 'application/json', 'waybill-expires': value },
        });
      await t.load(bus, orders, { each: 10 });
      await t.until(() => dead.length >= values.length, 'they are dead-lettered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.count, 10, 'messages that reached the handler');
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(
        letters.map((one) => one.code),
        values.map(() => 'poison'),
        'codes',
      );
    },
  },
];
