import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { attempts, concurrency, duplicated, guard, held, lost } from '../../checkers/index.ts';
import { tamperedSubscriptions } from './tampered.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const pausing: readonly ConformanceCase[] = [
  {
    id: 'F4.thousand-pauses-leak-nothing',
    guarantees: ['F4', 'D9', 'R3'],
    title: 'A thousand pauses under flow lose nothing, repeat nothing and leave nothing held.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const each = 400;
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const consumer = await t.consume(bus, orders, { group, prefetch: 20, concurrency: 4 }, turn);
      const flow = t.load(bus, orders, { each, gap: 2 });
      for (let cycle = 0; cycle < 1_000; cycle++) {
        consumer.subscription.pause();
        await turn();
        consumer.subscription.resume();
        if (cycle % 3 === 0) await turn();
        if (cycle % 100 === 0) await t.pass(5);
      }
      await flow;
      await t.until(() => consumer.distinct === each, 'all come', { idle: 5_000 });
      await t.sentinel(bus, orders, [consumer]);
      await t.until(() => consumer.running === 0, 'all handlers have ended');
      const left = await t.settled(() => consumer.subscription.held, 'what it holds');
      t.ok(left <= 20, `it holds ${left}; its prefetch is 20`);
      const cumulative = t.supports.settle.mode === 'cumulative';
      return t.judge(
        lost(),
        duplicated({ forbidden: true }),
        attempts(),
        held({ limit: 20, cumulative }),
        concurrency({ limit: 4 }),
        guard({ confirmed: each, returned: each }),
      );
    },
  },
  {
    id: 'F4.order-survives-pauses',
    guarantees: ['F4', 'O1', 'R3'],
    title: 'Pauses in the middle of a flow keep the order of each key.',
    needs: { 'order.key': true },
    cost: 'slow',
    run: async (t: CaseContext) => {
      const [keys, each] = [16, 20];
      const orders = t.topic('orders', { ordering: 'key' });
      const bus = await t.connect({ topics: [orders] });
      const seen = new Map<string, number[]>();
      const consumer = await t.consume(bus, orders, { group: t.group('inventory'), prefetch: 48 }, async (message) => {
        const { key, seq } = message.payload;
        seen.set(key ?? '', [...(seen.get(key ?? '') ?? []), seq]);
        await turn();
      });
      const flow = t.load(bus, orders, { keys, each, gap: 1 });
      for (let cycle = 0; cycle < 50; cycle++) {
        consumer.pause();
        await t.pass(5);
        consumer.resume();
        await t.pass(5);
      }
      await flow;
      await t.until(() => consumer.distinct === keys * each, 'all come', { idle: 5_000 });
      const wanted = Array.from({ length: each }, (_, index) => index + 1);
      for (const [key, seqs] of seen) t.equal(seqs, wanted, `what key ${key} saw`);
      return t.judge(lost(), attempts(), guard({ confirmed: keys * each }));
    },
  },
  {
    id: 'F4.half-held-then-settled',
    guarantees: ['F4', 'D9'],
    title: 'Deliveries held for long, through a pause, are settled once; then the rest arrives.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const half = 20;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const options = { group: t.group('inventory'), prefetch: half, concurrency: half, ...shortDrain };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { each: 2 * half });
      await t.until(() => consumer.running === half, `${half} are held`);
      await t.pass(2_500);
      consumer.pause();
      t.equal(consumer.subscription.status, 'paused', 'the status of a paused subscription');
      await t.pass(2_500);
      t.equal(consumer.count, half, 'handler runs after five seconds');
      consumer.resume();
      gate.open();
      await t.until(() => consumer.distinct === 2 * half, 'the rest arrives');
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(
        lost(),
        duplicated({ forbidden: true }),
        attempts(),
        concurrency({ limit: half, sent: 2 * half }),
        guard({ confirmed: 2 * half, returned: 2 * half }),
      );
    },
  },
  {
    id: 'F4.poll-under-way-brings-to-a-pause',
    guarantees: ['F4', 'D9', 'R3'],
    title: 'What a poll brings that was under way at a pause is handled after it, and costs no attempt.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders', t.supports.order.key.by === 'refused' ? {} : { ordering: 'key' });
      const bus = await t.connect({
        topics: [orders],
        // As on brokers whose polls can't be called back: they end when they end, and bring what they bring.
        wrap: (adapter) =>
          tamperedSubscriptions(adapter, (inner) => ({
            receive: (max, _signal, skip) => inner.receive(max, new AbortController().signal, skip),
          })),
      });
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') });
      await t.load(bus, orders, { keys: 4, each: 2 });
      await t.until(() => consumer.distinct === 8, 'it receives');
      for (let round = 1; round <= 3; round++) {
        await t.until(() => consumer.subscription.held > 0, 'a poll is under way');
        consumer.pause();
        const arrived = t.history.of('arrive').length;
        await t.load(bus, orders, { keys: 4, each: 3 });
        await t.until(() => t.history.of('arrive').length > arrived, 'the poll brings something');
        await t.settled(() => consumer.count, 'handler runs');
        t.equal(consumer.distinct, 8 + 12 * (round - 1), 'messages handled while it is paused');
        consumer.resume();
        await t.until(() => consumer.distinct === 8 + 12 * round, 'all are handled after the pause', { total: 10_000 });
      }
      await t.sentinel(bus, orders, [consumer]);
      return t.judge(lost(), attempts(), guard({ confirmed: 44, returned: 44 }));
    },
  },
];
