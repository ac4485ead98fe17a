import { fixed, type Topic, topic } from '@waybill/core';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost } from '../../checkers/index.ts';
import { deadLetters, heard } from './letters.ts';

export const deadLetterRecord: readonly ConformanceCase[] = [
  {
    id: 'R5.record',
    guarantees: ['R5', 'P4'],
    title:
      'A dead letter has the body byte for byte, headers, key, id, type and time, and says who gave it up, when and why.',
    cost: 'quick',
    run: async (t) => {
      const group = t.group('inventory');
      const bytes: Topic<Uint8Array> = t.topicOf('bytes', {
        codec: 'bytes',
        key: () => 'k-1',
        ordering: 'none',
        type: 'order.made',
      });
      const bus = await t.connect({ topics: [bytes], config: { source: 'conformance' } });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 3, backoff: fixed(40) };
      const before = Date.now();
      await t.consume(bus, bytes, { group, retry }, () => {
        throw new TypeError('no such\ncustomer');
      });
      const body = Uint8Array.from({ length: 256 }, (_, index) => 255 - index);
      const time = new Date(1_700_000_000_123);
      const headers = { plain: 'text', empty: '', 'x-ключ': 'значение', binary: Uint8Array.of(0, 255, 128) };
      const { id } = await bus.publish(bytes, body, { headers, time });
      await t.until(() => dead.length >= 1, 'the message is dead-lettered');
      const after = Date.now();
      const letters = await deadLetters(t, bus, bytes, group);
      t.equal(letters.length, 1, 'dead letters');
      const [letter] = letters;
      if (letter === undefined) return t.fail('there is no dead letter');
      t.equal(Buffer.from(letter.body).toString('hex'), Buffer.from(body).toString('hex'), 'body');
      t.equal([letter.id, letter.key, letter.type], [id, 'k-1', 'order.made'], 'id, key and type');
      t.equal(letter.time.getTime(), time.getTime(), 'time');
      t.equal({ ...letter.headers }, { ...headers, binary: letter.headers['binary'] }, 'headers');
      t.equal(Buffer.from(letter.headers['binary'] as Uint8Array).toString('hex'), '00ff80', 'the binary header');
      t.equal([letter.topic, letter.group, letter.attempts], [bytes.name, group, 3], 'topic, group and attempts');
      t.equal([letter.error, letter.code], ['TypeError', 'exhausted'], 'error name and code');
      t.ok(
        letter.message.includes('customer') && !letter.message.includes('\n'),
        `one line of message: '${letter.message}'`,
      );
      const [first, last] = [letter.firstFailure?.getTime() ?? 0, letter.lastFailure?.getTime() ?? 0];
      t.ok(before <= first && last <= after, 'the failures lie between the publish and now');
      t.ok(last - first >= 2 * 40 - 2, `first and last failure are two pauses apart (${last - first} ms)`);
    },
  },
  {
    id: 'R5.every-message-once',
    guarantees: ['R5', 'R1'],
    title: 'Every message that is given up has one dead letter, with the body that was published.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 2, backoff: fixed(5) };
      const consumer = await t.consume(bus, orders, { group, retry, concurrency: 20 }, () => {
        throw new Error('refused');
      });
      await t.load(bus, orders, { each: 200, data: (_key, seq) => `body ${seq} ✓` });
      await t.until(() => dead.length >= 200, 'all are dead-lettered');
      await t.straggle();
      t.equal([dead.length, consumer.count], [200, 400], 'dead letters and handler runs');
      const letters = await deadLetters(t, bus, orders, group);
      const found = letters.map((letter) => {
        const { seq, data } = JSON.parse(Buffer.from(letter.body).toString()) as { seq: number; data: string };
        t.equal(data, `body ${seq} ✓`, 'the body of a dead letter');
        return seq;
      });
      const all = Array.from({ length: 200 }, (_, index) => index + 1);
      t.equal(
        found.toSorted((a, b) => a - b),
        all,
        'the messages that have a dead letter',
      );
      return t.judge(attempts({ expected: 2 }), lost(), guard({ confirmed: 200 }));
    },
  },
  {
    id: 'R5.stable-id',
    guarantees: ['R5', 'R6'],
    title: 'A dead letter whose confirmation is lost is sent again as the same send, under the same id.',
    cost: 'fault',
    faults: ['unknown-outcome'],
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 2, backoff: fixed(20) };
      let struck = false;
      await t.consume(bus, orders, { group, retry }, async ({ payload }, { attempt }) => {
        if (payload.sentinel === true) return;
        // Once: where the original comes again with the new connection, the second dead letter is let through.
        if (attempt === 2 && !struck) {
          struck = true;
          await t.fault.unknownOutcome(1);
        }
        throw new Error('refused');
      });
      const { id } = await t.publish(bus, orders);
      await t.until(() => dead.length >= 1, 'the message is dead-lettered');
      const sends = t.history.of('send').filter((one) => one.kind === 'dead-letter');
      t.ok(
        sends.some((one) => one.outcomes.includes('unknown')),
        'the first confirmation was lost',
      );
      t.ok(sends.length >= 2, 'it was sent again');
      t.equal(new Set(sends.flatMap((one) => one.ids)), new Set([id]), 'ids in the dead-letter topic');
      t.equal(new Set(sends.flatMap((one) => one.sendIds)).size, 1, 'different sends as the broker sees them');
      const letters = await deadLetters(t, bus, orders, group);
      t.equal(new Set(letters.map((one) => one.id)), new Set([id]), 'ids of the dead letters');
      if (t.supports.publish.dedup.by !== 'refused') t.equal(letters.length, 1, 'dead letters inside the dedup window');
    },
  },
  {
    id: 'R5.foreign-topic-object',
    guarantees: ['R5', 'R1'],
    title: 'The dead letters of a group are found by the topic and group names alone, from any process.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 1 };
      await t.consume(bus, orders, { group, retry }, () => {
        throw new Error('refused');
      });
      await t.load(bus, orders, { each: 3 });
      await t.until(() => dead.length >= 3, 'all are dead-lettered');
      const elsewhere = await t.connect();
      const letters = await deadLetters(t, elsewhere, topic(orders.name), group);
      t.equal(
        letters.map((one) => [one.topic, one.group]),
        letters.map(() => [orders.name, group]),
        'their places',
      );
      t.equal(letters.length, 3, 'dead letters');
    },
  },
];
