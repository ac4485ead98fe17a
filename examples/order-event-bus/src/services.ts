import { setTimeout as busyFor } from 'node:timers/promises';
import { type Bus, fixed, type Subscription } from '@waybill/core';
import { orders } from './events.ts';

/** What the services did, for the summary. */
export interface Ledger {
  /** `orderId` to the event types that inventory saw, in order. */
  readonly seen: Map<string, string[]>;
  readonly points: Map<string, number>;
  readonly shelves: Map<string, number>;
  readonly parcels: { batches: number; shipped: number };
  readonly audited: { count: number; largest: number };
  /** Until this is true, inventory refuses to handle order 13. */
  repaired: boolean;
  /** When each group had handled its last event, in ms since the start. */
  readonly finished: Map<string, number>;
}

export function emptyLedger(): Ledger {
  return {
    seen: new Map(),
    points: new Map(),
    shelves: new Map(),
    parcels: { batches: 0, shipped: 0 },
    audited: { count: 0, largest: 0 },
    repaired: false,
    finished: new Map(),
  };
}

/** Five services, each a group of its own: every one gets every event, at its own pace. */
export async function startServices(bus: Bus, ledger: Ledger, now: () => number): Promise<Subscription[]> {
  const done = (group: string): void => void ledger.finished.set(group, now());

  const inventory = await bus.subscribe(
    orders,
    { group: 'inventory', concurrency: 32, retry: { attempts: 3, backoff: fixed('20ms') } },
    async ({ payload }) => {
      await busyFor(2);
      if (payload.orderId === '13' && !ledger.repaired) throw new Error('no such article');
      const seen = ledger.seen.get(payload.orderId) ?? [];
      ledger.seen.set(payload.orderId, [...seen, payload.type]);
      done('inventory');
    },
  );

  const loyalty = await bus.subscribe(orders, { group: 'loyalty', filter: { type: 'paid' } }, ({ payload }) => {
    ledger.points.set(payload.customer, (ledger.points.get(payload.customer) ?? 0) + Math.floor(payload.amount));
    done('loyalty');
  });

  const recommendation = await bus.subscribe(orders, { group: 'recommendation' }, ({ payload }) => {
    ledger.shelves.set(payload.customer, (ledger.shelves.get(payload.customer) ?? 0) + 1);
    done('recommendation');
  });

  // A slow one: 200 ms per call of the carrier, so it ships by the batch. Nobody waits for it.
  const warehouse = await bus.subscribe(
    orders,
    { group: 'warehouse', filter: { type: 'shipped' }, batch: { size: 25, linger: '30ms' } },
    async (messages) => {
      await busyFor(200);
      ledger.parcels.batches++;
      ledger.parcels.shipped += messages.length;
      done('warehouse');
    },
  );

  const fraud = await bus.subscribe(orders, { group: 'fraud' }, ({ payload }) => {
    ledger.audited.count++;
    ledger.audited.largest = Math.max(ledger.audited.largest, payload.amount);
    done('fraud');
  });

  return [inventory, loyalty, recommendation, warehouse, fraud];
}
