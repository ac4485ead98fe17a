import { memoryStore } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import type { Finding } from '../../finding.ts';
import type { Checker } from '../../finding.ts';
import { duplicated, guard, lost, unexpected } from '../../checkers/index.ts';

const needs = { 'deliver.atMostOnce': true } as const;
const delivery = 'at-most-once' as const;

/** D4: the broker had said that a delivery was settled before its handler started. */
const settledFirst: Checker = (history) => {
  const arrivals = history.arrivals.filter(({ origin }) => origin !== 'dead-letter');
  const findings: Finding[] = [];
  let examined = 0;
  for (const run of history.deliveries) {
    const own = arrivals.find(({ process, arrival }) => process === run.process && arrival === run.arrival);
    if (own === undefined) continue;
    examined += 1;
    // Its own ack, or a later one of its partition that settles everything before it.
    const settled = arrivals.some(
      (one) =>
        one.attachment === own.attachment &&
        one.process === own.process &&
        one.partition === own.partition &&
        one.settles.some(
          ({ kind, cumulative, result, endWall }) =>
            kind === 'ack' &&
            result === 'ok' &&
            endWall !== null &&
            endWall <= run.wall &&
            (one === own || (cumulative && one.arrival > own.arrival)),
        ),
    );
    if (settled) continue;
    const { id, key, group, topic } = run;
    findings.push({
      kind: 'unsettled',
      allowed: false,
      text: `${group}: the handler of ${id} started before it was settled`,
      id,
      key,
      group,
      topic,
    });
  }
  return { checker: 'settledFirst', findings, examined };
};

export const atMostOnce: readonly ConformanceCase[] = [
  {
    id: 'D4.settled-before-the-handler',
    guarantees: ['D4'],
    title: 'At-most-once: a message is settled, confirmed by the broker, before its handler starts.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group, delivery }, () => t.pass(2));
      await t.load(bus, orders, { each: 200 });
      await t.until(() => consumer.returned >= 200, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(settledFirst, duplicated({ forbidden: true }), lost(), guard({ confirmed: 200 }));
    },
  },
  {
    id: 'D4.settled-before-the-handler-ordered',
    guarantees: ['D4', 'O1'],
    title: 'At-most-once with keys: settled before the handler, whatever waits behind other keys.',
    needs: { 'deliver.atMostOnce': true, 'order.key': true },
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group, delivery }, ({ key }) => t.pass(key === 'k1' ? 20 : 1));
      await t.load(bus, orders, { keys: 30, each: 20 });
      await t.until(() => consumer.returned >= 600, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(settledFirst, duplicated({ forbidden: true }), lost(), guard({ confirmed: 600 }));
    },
  },
  {
    id: 'D4.a-failing-handler-is-not-repeated',
    guarantees: ['D4'],
    title: 'At-most-once: a message whose handler fails is not tried again and not dead-lettered; it is counted.',
    needs,
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group, delivery }, ({ payload }) => {
        if (payload.seq % 2 === 0) throw new Error('it fails');
      });
      await t.load(bus, orders, { each: 100 });
      await t.until(() => consumer.count >= 100, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      t.equal([consumer.count, consumer.threw], [100, 50], 'handler runs, and those that threw');
      t.equal(consumer.subscription.counts.dropped, 50, 'counted as dropped');
      const dead = t.history.of('send').filter(({ kind }) => kind === 'dead-letter').length;
      t.equal(dead, 0, 'dead letters sent');
      return t.judge(unexpected(), guard({ confirmed: 100, threw: 50 }));
    },
  },
  killed('none'),
  killed('key'),
  {
    id: 'D4.cut-after-the-settle',
    guarantees: ['D4', 'L1'],
    title: 'At-most-once: what was being handled when the connection was cut does not come again.',
    needs,
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const reader = await t.connect({ topics: [orders] });
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, { each: 100 });
      const consumer = await t.consume(reader, orders, { group, delivery, concurrency: 20 }, () => t.pass(20));
      await t.until(() => consumer.running >= 10, 'ten are being handled');
      const heal = await t.fault.cut();
      await heal();
      await t.load(bus, orders, { each: 20 });
      // Some may be gone for ever: that is this mode. The others come.
      await t.sentinel(bus, orders, [consumer]);
      t.ok(consumer.distinct >= 40, `only ${consumer.distinct} were handled at all`);
      return t.judge(
        duplicated({ forbidden: true }),
        unexpected(),
        guard({ confirmed: 120, faults: 1, busyAtFault: true }),
      );
    },
  },
  {
    id: 'D4.with-a-store',
    guarantees: ['D4', 'E1'],
    title: 'At-most-once is taken everywhere with an idempotent store before the handler.',
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group, delivery, idempotent: { store: memoryStore() } });
      await t.load(bus, orders, { each: 50 });
      await t.until(() => consumer.distinct >= 50, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(duplicated({ forbidden: true }), lost(), guard({ confirmed: 50 }));
    },
  },
];

function killed(ordering: 'none' | 'key'): ConformanceCase {
  return {
    id: `D4.killed-in-the-handler-${ordering === 'key' ? 'ordered' : 'unordered'}`,
    guarantees: ['D4', 'D5'],
    title: `At-most-once: what a killed consumer was handling${ordering === 'key' ? ', key by key,' : ''} never comes again.`,
    needs: ordering === 'key' ? { 'deliver.atMostOnce': true, 'order.key': true } : needs,
    cost: 'slow',
    faults: ['kill-consumer'],
    timeout: ({ deliver }) => 60_000 + 3 * deliver.redelivery.bound,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering });
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const bus = await t.connect({ topics: [orders] });
      await t.load(bus, orders, ordering === 'key' ? { keys: 10, each: 20 } : { each: 200 });
      const consumer = await t.spawn(orders, { group, delivery, concurrency: 5 }, { does: 'return', takes: 20 });
      await t.until(() => consumer.started >= 30, '30 handlers have started');
      await consumer.kill();
      const { started } = consumer;
      await t.drainAll(orders, [group], { delivery });
      t.note(`${started} handlers had started when it was killed`);
      return t.judge(duplicated({ forbidden: true }), unexpected(), guard({ confirmed: 200, delivered: 30 }));
    },
  };
}
