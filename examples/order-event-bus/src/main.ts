import { once } from 'node:events';
import { connect, type WaybillConfig, WaybillError } from '@waybill/core';
import { orders, type OrderEvent } from './events.ts';
import { emptyLedger, type Ledger, startServices } from './services.ts';
import config from './waybill.config.ts';

const ORDERS = 100;
const STEPS = ['created', 'paid', 'shipped'] as const;

/**
 * An order service and five services that follow it. Orders never see their events out of order, a slow service slows
 * nobody, and an order that inventory can't handle goes to its dead-letter topic and comes back when that is repaired.
 */
export async function run(print: (line: string) => void, broker: WaybillConfig = config): Promise<Ledger> {
  await using bus = await connect(broker, { topics: [orders] });
  const began = performance.now();
  const ledger = emptyLedger();
  const subscriptions = await startServices(bus, ledger, () => performance.now() - began);
  const stop = new AbortController();
  const deadLettered = new EventTarget();
  let dead = 0;
  bus.on('dead-lettered', () => {
    dead++;
    deadLettered.dispatchEvent(new Event('one'));
  });

  for (const type of STEPS)
    await bus.publishMany(
      orders,
      Array.from({ length: ORDERS }, (_, index) => event(index + 1, type)),
    );
  print(`published ${ORDERS * STEPS.length} events of ${ORDERS} orders`);

  while (dead < STEPS.length) await once(deadLettered, 'one', { signal: stop.signal });
  const letters = await bus.dlq(orders, 'inventory').list();
  for (const letter of letters)
    print(
      `dead-lettered for ${letter.group} after ${letter.attempts} attempts: order ${letter.key}, ${letter.type}: ${letter.message}`,
    );

  await settled(
    bus,
    subscriptions.map(({ group }) => group),
  );
  ledger.repaired = true;
  const { redriven } = await bus.dlq(orders, 'inventory').redrive({ all: true });
  await settled(bus, ['inventory']);
  print(`repaired and redriven: ${redriven} events, to inventory only`);

  const wrong = [...ledger.seen.values()].filter((types) => types.join() !== STEPS.join());
  print(`inventory: ${ledger.seen.size} orders, ${wrong.length} out of order`);
  print(
    `loyalty: ${ledger.points.size} customers, ${[...ledger.points.values()].reduce((sum, points) => sum + points, 0)} points`,
  );
  print(`recommendation: ${[...ledger.shelves.values()].reduce((sum, count) => sum + count, 0)} events`);
  print(`warehouse: ${ledger.parcels.shipped} parcels in batches of up to 25`);
  print(`fraud: ${ledger.audited.count} events, largest amount ${ledger.audited.largest}`);
  const finished = (group: string): number => ledger.finished.get(group) ?? 0;
  print(
    `the slow warehouse finished last: ${finished('warehouse') > Math.max(finished('loyalty'), finished('fraud'))}`,
  );
  return ledger;
}

function event(order: number, type: OrderEvent['type']): OrderEvent {
  return { orderId: String(order), type, customer: `customer-${order % 10}`, amount: order * 1.5 };
}

/** Nothing published for these groups is unsettled any more. */
async function settled(bus: Awaited<ReturnType<typeof connect>>, groups: readonly string[]): Promise<void> {
  for (const group of groups)
    while ((await bus.lag(orders, group)).count > 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

if (process.argv[1] === import.meta.filename) {
  try {
    await run((line) => console.log(line));
  } catch (error) {
    console.error(WaybillError.is(error) ? `${error.code}: ${error.message}` : error);
    process.exitCode = 1;
  }
}
