import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, lost } from '../../checkers/index.ts';

/** When a delivery's signal fires, and when not. */
export const signals: readonly ConformanceCase[] = [
  {
    id: 'D6.signal-is-quiet-after-an-ack',
    guarantees: ['D6', 'L2'],
    title: "A delivery's signal is quiet while all is well, and stays so after its ack and after the close.",
    cost: 'quick',
    run: async (t) => {
      const orders = t.topic('orders');
      const bus = await t.connect({ topics: [orders] });
      const seen: AbortSignal[] = [];
      const consumer = await t.consume(bus, orders, { group: t.group('inventory') }, (_message, { signal }) => {
        seen.push(signal);
      });
      await t.load(bus, orders, { each: 50 });
      await t.until(() => consumer.returned >= 50, 'all are handled');
      await t.sentinel(bus, orders, [consumer]);
      await consumer.close();
      await bus.close();
      await t.straggle(300);
      t.equal(seen.length, 50, 'signals seen');
      t.equal(seen.filter(({ aborted }) => aborted).length, 0, 'signals that fired');
    },
  },
  {
    id: 'D6.signal-at-the-drain-deadline',
    guarantees: ['D6', 'L2'],
    title: 'A handler that outlasts the drain deadline is told by its signal, and settles nothing any more.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const first = await t.consume(
        bus,
        orders,
        { group, drain: 500, concurrency: 1 },
        (_message, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)),
      );
      await t.load(bus, orders, { each: 3 });
      await t.until(() => first.running === 1, 'one is being handled');
      const began = t.now();
      await first.close();
      t.ok(t.now() - began >= 499, 'the close waited for the drain deadline');
      await t.until(() => first.running === 0, 'the signal ends the handler');
      const second = await t.consume(bus, orders, { group, drain: 500, concurrency: 1 });
      await t.until(() => second.returned >= 3, 'all three are handled by the next one', {
        total: 15_000 + 2 * t.supports.deliver.redelivery.bound,
      });
      await t.sentinel(bus, orders, [second]);
      t.equal(
        second.deliveries.every(({ attempt }) => attempt === 1),
        true,
        'the drain cost no attempt',
      );
      return t.judge(lost({ handled: true }), guard({ confirmed: 3 }));
    },
  },
];
