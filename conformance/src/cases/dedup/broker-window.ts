import { fixed } from '@waybill/core';
import type { CapabilityPath, Supports } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost } from '../../checkers/index.ts';
import { deadLettered } from '../flow/batches.ts';

/** Nothing can be asked for, so nothing is refused: both copies must arrive, since nobody said one would not. */
async function refused(t: CaseContext, path: CapabilityPath): Promise<void> {
  const orders = t.topic('orders');
  const bus = await t.connect({ topics: [orders] });
  const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
  const id = `${t.run}-${t.id}`;
  for (let copy = 0; copy < 2; copy++)
    t.equal((await t.publish(bus, orders, null, { id, seq: 1 })).status, 'confirmed', 'the outcome of a publish');
  await t.until(() => consumer.count >= 1, 'it is delivered');
  await t.sentinel(bus, orders, [consumer]);
  t.under(path, consumer.count === 1, 'of two publishes of one id one was delivered');
}

const windowOf = ({ publish }: Supports): number => publish.dedup.window;

export const brokerWindow: readonly ConformanceCase[] = [
  {
    id: 'E2.one-of-two-inside-the-window',
    guarantees: ['E2'],
    title: 'The same message published twice inside the window is stored once, and both publishes are confirmed.',
    needs: { 'publish.dedup': true },
    cost: 'quick',
    refused,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const other = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      for (let seq = 1; seq <= 20; seq++)
        for (const one of [bus, other, bus])
          t.equal(
            (await t.publish(one, orders, null, { id: `${t.run}-${seq}`, seq })).status,
            'confirmed',
            'an outcome',
          );
      await t.until(() => consumer.distinct === 20, 'all are delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(duplicated({ forbidden: true }), lost(), guard({ confirmed: 60, returned: 20 }));
    },
  },
  {
    id: 'E2.ids-of-other-topics-do-not-count',
    guarantees: ['E2'],
    title: 'The same id in another topic is another message, window or not.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const topics = [t.topic('orders'), t.topic('emails')];
      const group = t.group('inventory');
      const bus = await t.connect({ topics });
      const consumers = await Promise.all(topics.map((topic) => t.consume(bus, topic, { group })));
      for (let seq = 1; seq <= 10; seq++)
        for (const topic of topics) await t.publish(bus, topic, null, { id: `${t.run}-${seq}`, seq });
      await t.until(() => consumers.every(({ distinct }) => distinct === 10), 'both topics get all');
      return t.judge(lost(), guard({ confirmed: 20, returned: 20 }));
    },
  },
  {
    id: 'E2.copies-have-their-own-send-id',
    guarantees: ['E2', 'R7'],
    title:
      'Fail, dead-letter, redrive, fail, dead-letter, redrive, succeed: inside a dedup window nothing is swallowed.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      let fails = true;
      const retry = {
        attempts: 2,
        backoff: fixed(10),
        mode: t.supports.requeue.by === 'refused' ? 'in-place' : 'requeue',
      } as const;
      const consumer = await t.consume(bus, orders, { group, retry }, () => {
        if (fails) throw new Error('not yet');
      });
      const outcomes = await t.load(bus, orders, { each: 4 });
      for (let round = 1; round <= 2; round++) {
        await t.until(() => deadLettered(t, group).length === 4 * round, `all are dead-lettered, round ${round}`, {
          total: 15_000,
        });
        await t.until(() => consumer.threw === 8 * round, 'each after two attempts');
        if (round === 2) fails = false;
        let redriven = 0;
        // The last of them may not be visible yet.
        await t.until(
          async () => (redriven += (await bus.dlq(orders, group).redrive({ all: true })).redriven) >= 4,
          `all are redriven, round ${round}`,
        );
        t.equal(redriven, 4, 'redriven');
      }
      await t.until(() => consumer.returned === 4, 'all are handled in the end');
      const sends = t.history
        .of('send')
        .flatMap(({ kind, ids, sendIds, outcomes: of }) =>
          sendIds.flatMap((sendId, index) =>
            of[index] === 'confirmed' ? [{ kind, id: ids[index] ?? '', sendId }] : [],
          ),
        );
      for (const outcome of outcomes) {
        const own = sends.filter(({ id }) => id === outcome.id);
        // One fresh, two dead letters, two redrives, and a requeue between each two attempts where copies are made.
        t.ok(own.length >= 5, `${own.length} sends of one message`);
        t.equal(new Set(own.map(({ sendId }) => sendId)).size, own.length, 'send ids of one message, all different');
        t.equal(
          own.filter(({ kind }) => kind === 'topic').map(({ sendId }) => sendId),
          [outcome.id],
          'the send id of a fresh publish',
        );
      }
      return t.judge(lost({ handled: true }), guard({ confirmed: 4, threw: 16, returned: 4 }));
    },
  },
  {
    id: 'E2.unknown-send-is-stored-once',
    guarantees: ['E2', 'P2', 'P3'],
    title: 'A send whose answer was lost is sent again under the same send id, and stored once.',
    needs: { 'publish.dedup': true },
    cost: 'fault',
    faults: ['unknown-outcome'],
    refused,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { each: 10 });
      const heal = await t.fault.unknownOutcome(10, { stored: true });
      const outcomes = await t.load(bus, orders, { each: 30, concurrency: 5 });
      await heal();
      t.ok(
        outcomes.every(({ status }) => status === 'confirmed'),
        'all are confirmed in the end',
      );
      const sends = t.history.of('send').flatMap((send) => send.outcomes);
      t.ok(sends.includes('unknown'), 'answers were lost');
      await t.until(() => consumer.distinct === 40, 'all are delivered');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(duplicated({ forbidden: true }), lost(), guard({ confirmed: 40, returned: 40, faults: 1 }));
    },
  },
  {
    id: 'E2.window-survives-a-restart',
    guarantees: ['E2', 'P1'],
    title: 'The dedup window is kept over a restart of the broker.',
    needs: { 'publish.dedup': true },
    cost: 'fault',
    faults: ['restart'],
    refused,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const before = await t.connect({ topics: [orders] });
      const began = t.now();
      for (let seq = 1; seq <= 10; seq++) await t.publish(before, orders, null, { id: `${t.run}-${seq}`, seq });
      await t.fault.restart();
      const after = await t.connect({ topics: [orders] });
      for (let seq = 1; seq <= 10; seq++) await t.publish(after, orders, null, { id: `${t.run}-${seq}`, seq });
      if (t.now() - began > windowOf(t.supports)) return t.inconclusive('the restart took longer than the window');
      const consumer = await t.consume(after, orders, { group });
      await t.until(() => consumer.distinct === 10, 'all are delivered');
      await t.sentinel(after, orders, [consumer]);
      return t.judge(duplicated({ forbidden: true }), lost(), guard({ confirmed: 20, returned: 10, faults: 1 }));
    },
  },
  {
    id: 'E2.window-ends',
    guarantees: ['E2'],
    title: 'After the window the same id is stored again: deduplication is for a time, not for ever.',
    needs: { 'publish.dedup': true },
    cost: 'long',
    timeout: (supports) => 60_000 + 3 * windowOf(supports),
    refused,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const publish = (): Promise<unknown> => t.publish(bus, orders, null, { id: `${t.run}-1`, seq: 1 });
      await publish();
      await publish();
      await t.until(() => consumer.count === 1, 'one of two is delivered');
      // A broker may remember for longer than it says; not for more than twice as long.
      await t.pass(2 * windowOf(t.supports) + 1_000);
      await publish();
      await t.until(() => consumer.count === 2, 'one after the window is delivered');
      await t.sentinel(bus, orders, [consumer]);
      t.equal(consumer.count, 2, 'handler runs');
      return t.judge(duplicated(), lost(), guard({ confirmed: 3, returned: 2 }));
    },
  },
];
