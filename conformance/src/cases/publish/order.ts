import { memoryStore, WaybillError } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, overlapped, pending, phantom, reordered } from '../../checkers/index.ts';
import { intercepting, Latch, unhurried } from './wrapping.ts';

const needs = { 'order.key': true } as const;

export const publishOrder: readonly ConformanceCase[] = [
  {
    id: 'P3.concurrent-publishes-keep-order',
    guarantees: ['P3', 'O1'],
    title: 'Publishes of a key that are open at once are stored in the order of their calls.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { keys: 16, each: 100, concurrency: 50 });
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(reordered(), lost(), guard({ confirmed: 1_600 }));
    },
  },
  {
    id: 'P3.order-across-refusals',
    guarantees: ['P3'],
    title: 'A send that is refused for a moment, or whose answer is lost, does not let later ones of its key overtake.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      // One refusal and one lost answer for each key, somewhere in its middle.
      const troubled = new Map<string, number>();
      let refusals = 0;
      const wrap = intercepting(async (messages, send) => {
        const trouble = messages.findIndex(
          ({ key }) => key !== null && (troubled.get(key) ?? 0) < 2 && t.random.chance(0.2),
        );
        if (trouble < 0) return send(messages);
        const key = messages[trouble]?.key ?? '';
        const count = (troubled.get(key) ?? 0) + 1;
        troubled.set(key, count);
        refusals += 1;
        const error = new WaybillError(count === 1 ? 'unavailable' : 'timeout', 'trouble on demand');
        const stopped = messages.filter((message, index) => index >= trouble && message.key === key);
        const passed = messages.filter((message) => !stopped.includes(message));
        const results = passed.length === 0 ? [] : await send(passed);
        return messages.map((message) => {
          if (message === stopped[0]) return { status: count === 1 ? 'rejected' : 'unknown', error };
          return results[passed.indexOf(message)] ?? { status: 'skipped' };
        });
      });
      const bus = await t.connect({ topics: [orders], wrap });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { keys: 16, each: 60, concurrency: 50, gap: 0 });
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      t.ok(refusals >= 8, `only ${refusals} sends had trouble`);
      return t.judge(reordered(), lost(), pending(), guard({ confirmed: 960 }));
    },
  },
  {
    id: 'P3.order-across-a-reconnect',
    guarantees: ['P3', 'L1'],
    title: 'After a reconnect the unconfirmed messages of a key go before its new ones.',
    needs,
    cost: 'fault',
    faults: ['cut'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders], wrap: unhurried(10) });
      const reader = await t.connect({ topics: [orders] });
      const consumer = await t.consume(reader, orders, { group: t.group('inventory') });
      const stop = new AbortController();
      const flow = t.load(bus, orders, { keys: 16, each: Number.POSITIVE_INFINITY, signal: stop.signal });
      const confirmed = (): number => t.history.of('publish.confirmed').length;
      for (let round = 0; round < 4; round++) {
        const before = confirmed();
        await t.until(() => confirmed() >= before + 100, 'the flow goes on');
        const heal = await t.fault.cut();
        await heal();
      }
      const before = confirmed();
      await t.until(() => confirmed() >= before + 100, 'the flow goes on after the last cut');
      stop.abort();
      const all = await t.within(flow, 'every publish has an outcome', 60_000);
      t.equal(all.filter(({ status }) => status !== 'confirmed').length, 0, 'publishes that did not end confirmed');
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(
        reordered({ hold: false }),
        lost(),
        pending(),
        guard({ confirmed: 500, faults: 4, busyAtFault: true }),
      );
    },
  },
  {
    id: 'P3.several-producers',
    guarantees: ['P3'],
    title: 'Several producers of the same keys: each has its own messages in order.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const buses = await Promise.all(Array.from({ length: 4 }, () => t.connect({ topics: [orders] })));
      const [first] = buses;
      if (first === undefined) return t.fail('no connection');
      const consumer = await t.consume(first, orders, { group: t.group('inventory') });
      await Promise.all(buses.map((bus) => t.load(bus, orders, { keys: 8, each: 50 })));
      await t.delivered(orders, [consumer]);
      await t.sentinel(first, orders, [consumer]);
      return t.judge(reordered(), overlapped(), lost(), guard({ confirmed: 1_600 }));
    },
  },
  {
    id: 'P3.followers-of-a-failed-message',
    guarantees: ['P3', 'P2'],
    title:
      'When a message of a key is refused, those of its key already accepted behind it end with code order, unsent.',
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders], wrap: refusing('k1', 1) });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const all = await t.load(bus, orders, { keys: 8, each: 20, concurrency: 160 });
      const said = all.map((outcome) =>
        outcome.status === 'confirmed' ? 'ok' : `${outcome.status} ${outcome.error.code}`,
      );
      const ofKey = said.filter((_, index) => index % 8 === 0);
      t.equal(ofKey, ['rejected denied', ...Array.from({ length: 19 }, () => 'rejected order')], 'outcomes of the key');
      t.equal(said.filter((one) => one === 'ok').length, 140, 'confirmed messages of other keys');
      // What comes later is a new beginning.
      t.equal((await t.publish(bus, orders, 'k1')).status, 'confirmed', 'a later message of the key');
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(phantom(), reordered(), lost(), guard({ confirmed: 141, rejected: 20 }));
    },
  },
  {
    id: 'P3.continue-sends-the-followers',
    guarantees: ['P3'],
    title: "With onKeyFailure 'continue' the messages behind a refused one are sent, in order.",
    needs,
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key', onKeyFailure: 'continue' });
      const bus = await t.connect({ topics: [orders], wrap: refusing('k1', 1) });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const all = await t.load(bus, orders, { keys: 8, each: 20, concurrency: 160 });
      const failed = all.flatMap((outcome) =>
        outcome.status === 'confirmed' ? [] : [`${outcome.seq} ${outcome.error.code}`],
      );
      t.equal(failed, ['1 denied'], 'what was not confirmed');
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(phantom(), reordered(), lost(), guard({ confirmed: 159, rejected: 1 }));
    },
  },
  {
    id: 'P3.followers-of-an-unknown-message',
    guarantees: ['P3', 'P2'],
    title: 'When a message of a key ends unknown, those accepted behind it are not sent.',
    needs,
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const latch = new Latch();
      const wrap = intercepting(async (messages, send) => {
        // The first send of this key is on its way for ever.
        if (!messages.some(({ key }) => key === 'k1')) return send(messages);
        await latch.opened;
        return messages.map(() => ({ status: 'unknown', error: new WaybillError('timeout', 'no answer') }));
      });
      const config = { publish: { timeout: '2s' as const } };
      const bus = await t.connect({ topics: [orders], wrap, config });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      const first = t.publish(bus, orders, 'k1');
      await t.pass(500);
      const behind = Promise.all(Array.from({ length: 10 }, () => t.publish(bus, orders, 'k1')));
      t.equal((await t.within(first, 'the first has an outcome')).status, 'unknown', 'the outcome of the first');
      const outcomes = await t.within(behind, 'those behind it have outcomes');
      const said = outcomes.map((one) => (one.status === 'confirmed' ? 'ok' : `${one.status} ${one.error.code}`));
      t.equal([...new Set(said)], ['rejected order'], 'outcomes of those behind it');
      latch.open();
      await t.publish(bus, orders, 'k2');
      await t.delivered(orders, [consumer]);
      await t.sentinel(bus, orders, [consumer], { keys: ['k2'] });
      return t.judge(phantom(), pending(), guard({ confirmed: 1, rejected: 10, unknown: 1 }));
    },
  },
  {
    id: 'P3.late-copy-of-an-unknown-send',
    guarantees: ['P3', 'E1'],
    title:
      'A second copy of a send whose answer was lost disturbs no order, and an idempotent consumer does not see it.',
    needs,
    cost: 'fault',
    faults: ['unknown-outcome'],
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders] });
      const idempotent = { store: memoryStore() };
      const once = await t.consume(bus, orders, { group: t.group('once'), idempotent });
      const all = await t.consume(bus, orders, { group: t.group('all') });
      await t.load(bus, orders, { keys: 8, each: 10 });
      const heal = await t.fault.unknownOutcome(8, { stored: true });
      await t.load(bus, orders, { keys: 8, each: 20 });
      await heal();
      await t.until(() => once.distinct >= 240 && all.distinct >= 240, 'all are delivered to both');
      await t.sentinel(bus, orders, [once, all]);
      return t.judge(
        reordered(),
        lost(),
        duplicated({ groups: [once.group], forbidden: true }),
        duplicated({ groups: [all.group] }),
        guard({ confirmed: 240, faults: 1 }),
      );
    },
  },
];

/** The first so many sends of a key are refused for good; what follows it in the call is held back, as brokers do. */
function refusing(key: string, count: number): ReturnType<typeof intercepting> {
  let left = count;
  return intercepting(async (messages, send) => {
    const at = left > 0 ? messages.findIndex((message) => message.key === key) : -1;
    if (at < 0) return send(messages);
    left -= 1;
    const stopped = messages.filter((message, index) => index >= at && message.key === key);
    const passed = messages.filter((message) => !stopped.includes(message));
    const results = passed.length === 0 ? [] : await send(passed);
    return messages.map((message) => {
      if (message === stopped[0]) return { status: 'rejected', error: new WaybillError('denied', 'refused on demand') };
      const result = results[passed.indexOf(message)];
      if (result !== undefined) return result;
      return { status: 'skipped' };
    });
  });
}
