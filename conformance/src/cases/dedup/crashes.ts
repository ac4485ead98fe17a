import { memoryStore } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { duplicated, guard, lost, redelivered } from '../../checkers/index.ts';
import { watched } from './copies.ts';

export const crashes: readonly ConformanceCase[] = [
  {
    id: 'E1.crash-between-effect-and-ack',
    guarantees: ['E1', 'D5'],
    title:
      'A consumer that dies between its effect and the ack: the message comes again elsewhere, the effect does not.',
    cost: 'fault',
    faults: ['crash-connection'],
    timeout: ({ deliver }) => 60_000 + 2 * deliver.redelivery.bound,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const shared = memoryStore();
      const doomed = await t.connect({ topics: [orders] });
      const survivor = await t.connect({ topics: [orders] });
      let crash: Promise<void> | null = null;
      const dead = new Promise<never>(() => {});
      // A dead process asks its store nothing.
      const alive = watched(shared, () => (crash === null ? undefined : dead));
      const dying: typeof alive = {
        ...alive,
        done: async (scope, id, windowMs) => {
          if (crash !== null) return dead;
          await shared.done(scope, id, windowMs);
          crash = t.fault.crash(doomed);
          return dead; // its ack is never sent
        },
      };
      const options = { group, concurrency: 1, prefetch: 5, lease: '2s', drain: 0 } as const;
      const first = await t.consume(doomed, orders, { ...options, idempotent: { store: dying } });
      await t.load(survivor, orders, { each: 5 });
      await t.until(() => crash !== null && first.returned >= 1, 'it dies after its effect');
      const second = await t.consume(survivor, orders, { group, idempotent: { store: shared } });
      await t.load(survivor, orders, { each: 5 });
      const effects = (): number => new Set([...first.deliveries, ...second.deliveries].map(({ id }) => id)).size;
      const patience = 30_000 + 2 * t.supports.deliver.redelivery.bound;
      await t.until(() => effects() === 10, 'the survivor handles the rest', { total: patience });
      await t.until(
        () => t.history.arrivals.some(({ id, consumer }) => consumer === second.name && id === first.deliveries[0]?.id),
        'what was handled comes again',
        { total: patience },
      );
      await second.close();
      await t.drainAll(orders, [group], { idempotent: { store: shared } });
      return t.judge(duplicated({ forbidden: true, by: 'returned' }), lost(), guard({ confirmed: 10, faults: 1 }));
    },
  },
  {
    id: 'E1.crash-inside-the-handler-loses-nothing',
    guarantees: ['E1', 'D5'],
    title:
      'A consumer that dies inside its handler loses nothing: when its claim has ended, another handles the message.',
    cost: 'fault',
    faults: ['crash-connection'],
    timeout: ({ deliver }) => 60_000 + 2 * deliver.redelivery.bound,
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      const group = t.group('inventory');
      await t.provision(orders, [group]);
      const store = memoryStore();
      const doomed = await t.connect({ topics: [orders] });
      const survivor = await t.connect({ topics: [orders] });
      const options = { group, lease: '2s', idempotent: { store } } as const;
      const first = await t.consume(
        doomed,
        orders,
        { ...options, drain: 0, concurrency: 3, prefetch: 5 },
        () => new Promise(() => {}),
      );
      await t.load(survivor, orders, { each: 5 });
      await t.until(() => first.running >= 1, 'a handler runs');
      await t.fault.crash(doomed);
      const second = await t.consume(survivor, orders, options);
      const patience = 30_000 + 2 * t.supports.deliver.redelivery.bound;
      await t.until(() => second.returned === 5, 'another handles all', { total: patience });
      const bound = t.scaled(t.supports.deliver.redelivery.bound + 2_000 + 1_000); // the claim's lease, and a look at it
      return t.judge(
        lost({ handled: true }),
        redelivered({ bound }),
        duplicated({ forbidden: true, by: 'returned' }),
        guard({ confirmed: 5, returned: 5, faults: 1 }),
      );
    },
  },
];
