import { fixed, type Topic, topic } from '@waybill/core';
import type { Adapter } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, guard, lost, overlapped, reordered } from '../../checkers/index.ts';
import { wrapped } from '../wrapped.ts';
import { deadLetters, heard } from './letters.ts';

/** When each message was first confirmed in the dead-letter topic, and when its original was acked, by wall clock. */
function copiedThenAcked(t: CaseContext): { copied: Map<string, number>; acked: Map<string, number> } {
  const copied = new Map<string, number>();
  const acked = new Map<string, number>();
  for (const send of t.history.of('send')) {
    if (send.kind !== 'dead-letter') continue;
    for (const [index, id] of send.ids.entries())
      if (send.outcomes[index] === 'confirmed' && !copied.has(id)) copied.set(id, send.wall);
  }
  for (const arrival of t.history.arrivals) {
    const [settle] = arrival.settles.filter((one) => one.kind === 'ack');
    if (settle !== undefined && !acked.has(arrival.id)) acked.set(arrival.id, settle.startWall);
  }
  return { copied, acked };
}

/** The same adapter, refusing every dead letter while `refusing` says so. */
function refusingDeadLetters(adapter: Adapter, refusing: () => boolean): Adapter {
  return wrapped(adapter, {
    publish: (destination, messages, signal) => {
      if (destination.kind !== 'dead-letter' || !refusing()) return adapter.publish(destination, messages, signal);
      return Promise.resolve(
        messages.map(() => ({ status: 'rejected', error: new Error('the dead-letter topic is full') })),
      );
    },
  });
}

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
      await t.consume(bus, orders, { group, retry }, async ({ payload }, { attempt }) => {
        if (payload.sentinel === true) return;
        if (attempt === 2) await t.fault.unknownOutcome(1);
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
    id: 'R6.no-ack-before-the-copy',
    guarantees: ['R6', 'O2'],
    title:
      'A message is acked only after its dead letter is confirmed; until then it stays and its failure to be copied is reported.',
    cost: 'quick',
    run: async (t) => {
      const ordered = t.supports.order.key.by !== 'refused';
      const orders = t.topic('orders', { ordering: ordered ? 'key' : 'none' });
      const group = t.group('inventory');
      let refusing = true;
      const bus = await t.connect({
        topics: [orders],
        config: { publish: { timeout: '1s' } },
        wrap: (adapter) => refusingDeadLetters(adapter, () => refusing),
      });
      t.allowLog(/copy-failed|dead-letter/);
      const failed = heard(bus, 'copy-failed');
      const dead = heard(bus, 'dead-lettered');
      const retry = { attempts: 2, backoff: fixed(10) };
      const publisher = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq === 2) throw new Error('refused');
      });
      await t.load(publisher, orders, { keys: ordered ? 5 : 0, each: ordered ? 4 : 20 });
      const givenUp = ordered ? 5 : 1;
      await t.until(() => consumer.threw >= 2 * givenUp, 'all attempts of those that fail are over');
      const others = await t.settled(() => consumer.returned, 'the handled messages');
      await t.until(() => failed.length > 0, 'a copy that failed is reported');
      await t.straggle();
      t.equal(dead.length, 0, 'messages said to be dead-lettered while the topic refuses');
      if (ordered) t.equal(consumer.returned, others, 'followers that were handled before the dead letter was stored');
      t.equal([...copiedThenAcked(t).copied.keys()].length, 0, 'dead letters confirmed');
      refusing = false;
      await t.until(() => dead.length >= givenUp, 'they are dead-lettered when the topic takes them again', {
        total: 40_000,
      });
      await t.sentinel(publisher, orders, [consumer]);
      t.note(`${failed.length} copies failed`);
      const { copied, acked } = copiedThenAcked(t);
      t.equal(copied.size, givenUp, 'messages that were dead-lettered');
      for (const [id, at] of copied)
        t.ok((acked.get(id) ?? Number.POSITIVE_INFINITY) >= at, `the ack of ${id} comes after its copy`);
      const orderly = ordered ? [reordered(), overlapped()] : [];
      return t.judge(attempts({ expected: 2 }), lost(), guard({ confirmed: 20 }), ...orderly);
    },
  },
  {
    id: 'R6.comes-again-when-never-copied',
    guarantees: ['R6', 'L2'],
    title: 'A message whose dead letter could not be stored is not lost: it comes again to the next consumer.',
    cost: 'quick',
    timeout: ({ deliver }) => 15_000 + deliver.redelivery.bound,
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const publisher = await t.connect({ topics: [orders] });
      const doomed = await t.connect({
        topics: [orders],
        config: { publish: { timeout: '1s' } },
        wrap: (adapter) => refusingDeadLetters(adapter, () => true),
      });
      t.allowLog(/copy-failed|dead-letter/);
      const failed = heard(doomed, 'copy-failed');
      const options = { group, retry: { attempts: 2, backoff: fixed(10) }, drain: 300 };
      const first = await t.consume(doomed, orders, options, () => {
        throw new Error('refused');
      });
      await t.load(publisher, orders, { each: 5 });
      await t.until(() => first.threw >= 10, 'all attempts are over');
      await t.until(() => failed.length >= 5, 'the copies that failed are reported');
      await t.within(first.close(), 'the consumer closes', 10_000);
      const next = await t.connect({ topics: [orders] });
      const second = await t.consume(next, orders, { ...options, group });
      await t.until(() => second.distinct >= 5, 'all come again', {
        total: 30_000 + t.supports.deliver.redelivery.bound,
      });
      t.equal((await deadLetters(t, next, orders, group)).length, 0, 'dead letters');
      return t.judge(lost({ handled: true }), guard({ confirmed: 5, threw: 10 }));
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
      const letters = await deadLetters(t, elsewhere, topic<unknown>(orders.name), group);
      t.equal(
        letters.map((one) => [one.topic, one.group]),
        letters.map(() => [orders.name, group]),
        'their places',
      );
      t.equal(letters.length, 3, 'dead letters');
    },
  },
];
