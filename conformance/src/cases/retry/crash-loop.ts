import type { Supports } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { CaseBus, Consumer } from '../../case-types.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard } from '../../checkers/index.ts';
import { deadLetters, heard } from './letters.ts';

const maxDeliveries = 7;
const neighbours = 19;
const killer = 10;

const timeout = ({ deliver }: Supports): number => 40_000 + maxDeliveries * (3_000 + 2 * deliver.redelivery.bound);

/** Consumers that die of one message, one after another, until it is given up. */
async function crashLoop(t: CaseContext, ordering: 'key' | 'none', keys: number): Promise<void> {
  const orders = t.topic('orders', { ordering });
  const group = t.group('inventory');
  await t.provision(orders, [group]);
  const publisher = await t.connect({ topics: [orders] });
  for (let number = 1; number <= neighbours + 1; number++)
    await t.publish(publisher, orders, keys === 0 ? null : `k${number % keys}`, { seq: number });
  const handled = new Set<number>();
  const lives: { bus: CaseBus; consumer: Consumer; died: boolean }[] = [];
  const options = { group, maxDeliveries, concurrency: 1, prefetch: 64, retry: { attempts: 3 } };
  const dead: { id: string; code: string }[] = [];
  const total = 30_000 + t.supports.deliver.redelivery.bound;
  while (dead.length === 0 && lives.length <= maxDeliveries) {
    const bus = await t.connect({ topics: [orders] });
    const letters = heard(bus, 'dead-lettered');
    const life = { bus, died: false };
    const consumer = await t.consume(bus, orders, options, async ({ payload }) => {
      if (payload.seq === killer && payload.sentinel !== true) {
        life.died = true;
        await t.fault.crash(bus);
        return new Promise(() => {});
      }
      handled.add(payload.seq);
    });
    lives.push(Object.assign(life, { consumer }));
    await t.until(() => life.died || letters.length > 0, 'the consumer dies, or gives the message up', { total });
    dead.push(...letters);
  }
  const last = lives.at(-1)?.consumer;
  if (last === undefined) return t.fail('no consumer ever ran');
  await t.until(() => handled.size >= neighbours, 'its neighbours are handled', { total });
  await t.straggle();
  const runs = lives.reduce(
    (sum, { consumer }) => sum + consumer.deliveries.filter((one) => one.seq === killer).length,
    0,
  );
  t.measure('livesTaken', lives.length - 1);
  t.equal(runs, lives.length - 1, 'handler runs of the killer, each of which killed');
  t.ok(runs >= 1 && runs <= maxDeliveries, `the killer ran ${runs} times; allowed: up to ${maxDeliveries}`);
  const letters = await deadLetters(t, publisher, orders, group);
  const found = letters.map((one) => [(JSON.parse(Buffer.from(one.body).toString()) as { seq: number }).seq, one.code]);
  t.equal(found, [[killer, 'max-deliveries']], 'dead letters: the killer alone');
  t.equal(handled.size, neighbours, 'neighbours that were handled');
}

export const crashLoops: readonly ConformanceCase[] = [
  {
    id: 'R10.killer-among-neighbours',
    guarantees: ['R10', 'D5'],
    title:
      'A message that kills its consumer every time is dead-lettered in the end, alone; its neighbours are handled.',
    needs: { 'settle.deliveryCount': true },
    cost: 'fault',
    faults: ['crash-connection'],
    timeout,
    run: async (t) => {
      await crashLoop(t, 'none', 0);
      return t.judge(guard({ confirmed: neighbours + 1, faults: 2, busyAtFault: true }));
    },
    refused: async (t, path) => {
      const orders = t.topic('orders');
      const bus = await t.connect();
      const ask = (): Promise<unknown> => t.consume(bus, orders, { group: t.group('inventory'), maxDeliveries });
      const error = await t.expectError(ask, 'unsupported');
      t.ok(error.message.includes(path), `the refusal names ${path}: '${error.message}'`);
      t.equal(t.history.of('send').length, 0, 'sends to the broker after a refusal');
    },
  },
  ...[1, 20].map((keys): ConformanceCase => ({
    id: `R10.killer-in-${keys === 1 ? 'one-key' : 'many-keys'}`,
    guarantees: ['R10', 'O3'],
    title: `A message that kills its consumer every time is given up also on an ordered topic, with ${keys === 1 ? 'its neighbours in its own key' : 'neighbours in other keys'}.`,
    needs: { 'settle.deliveryCount': true, 'order.key': true },
    cost: 'fault',
    faults: ['crash-connection'],
    timeout,
    run: async (t) => {
      await crashLoop(t, 'key', keys);
      return t.judge(guard({ confirmed: neighbours + 1, faults: 2, busyAtFault: true }));
    },
  })),
];
