import { fixed } from '@waybill/core';
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

export const copiedFirst: readonly ConformanceCase[] = [
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
];
