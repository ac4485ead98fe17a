import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { SubscribeOptions } from '@waybill/core';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard, held, lost } from '../../checkers/index.ts';
import { shortDrain, Turnstile } from './turnstile.ts';

const MiB = 1024 * 1024;

/** Bytes in use after a collection, buffers outside the heap included. */
async function inUse(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export const flatMemory: readonly ConformanceCase[] = [
  {
    id: 'F2.backlog-stays-at-the-broker',
    guarantees: ['F2', 'F1'],
    title: 'A stuck consumer leaves the backlog at the broker: no more is read than its prefetch.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const prefetch = 20;
      const backlog = 3_000;
      const orders = t.topic('orders');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders] });
      const options: SubscribeOptions = { group: t.group('inventory'), prefetch, concurrency: 5, ...shortDrain };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.load(bus, orders, { each: backlog, concurrency: 200 });
      await t.until(() => consumer.running === 5, 'all handlers are stuck');
      const most = await t.settled(() => t.history.of('arrive').length, 'deliveries read');
      t.ok(most <= prefetch, `${most} of ${backlog} were read; the prefetch is ${prefetch}`);
      t.ok(consumer.subscription.held <= prefetch, 'what it says it holds');
      t.equal(bus.health().brokers['main']?.pending, 0, 'publishes without an outcome beside a stuck consumer');
      gate.open();
      await t.until(() => consumer.distinct === backlog, 'the backlog is read when it goes on', { idle: 10_000 });
      const cumulative = t.supports.settle.mode === 'cumulative';
      return t.judge(held({ limit: prefetch, cumulative }), lost(), guard({ confirmed: backlog, returned: backlog }));
    },
  },
  {
    id: 'F2.memory-is-flat-under-a-backlog',
    guarantees: ['F2'],
    title: 'Memory stays flat with a backlog of 100,000 messages and a handler that never returns.',
    cost: 'long',
    run: async (t: CaseContext) => {
      const prefetch = 100;
      const backlog = 100_000;
      const size = 200;
      const most = 12 * MiB; // a reader of everything would need several times that
      const orders = t.topicOf<Uint8Array>('orders', { codec: 'bytes' });
      const group = t.group('inventory');
      const gate = new Turnstile();
      const bus = await t.connect({ topics: [orders], config: { topics: { [orders.name]: { groups: [group] } } } });
      const bodies = Array.from({ length: 1_000 }, () => new Uint8Array(size));
      let confirmed = 0;
      // On the bus itself: a history of so many publishes would be the memory that is measured.
      while (confirmed < backlog) {
        const results = await bus.bus.publishMany(orders, bodies);
        confirmed += results.filter((result) => result.status === 'confirmed').length;
      }
      const before = await inUse();
      const options = { group, prefetch, concurrency: 10, ...shortDrain };
      const consumer = await t.consume(bus, orders, options, () => gate.enter());
      await t.until(() => consumer.running === 10, 'all handlers are stuck');
      let highest = 0;
      for (let look = 0; look < 5; look++) {
        await t.straggle(1_000);
        highest = Math.max(highest, (await inUse()) - before);
      }
      t.measure('heapGrowthBytes', highest);
      t.ok(t.history.of('arrive').length <= prefetch, 'no more was read than the prefetch');
      t.ok(highest < most, `memory grew by ${(highest / MiB).toFixed(1)} MiB; allowed: ${most / MiB} MiB`);
      return t.judge(held({ limit: prefetch, sent: 0 }));
    },
  },
  {
    id: 'F2.nothing-is-left-of-closed-consumers',
    guarantees: ['F2', 'L2'],
    title: 'Opening and closing subscriptions and buses leaves no timer, socket or listener behind.',
    cost: 'long',
    run: async (t: CaseContext) => {
      const rounds = 60;
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const bus = await t.connect({ topics: [orders] });
      const resources = (): number => process.getActiveResourcesInfo().length;
      const round = async (number: number): Promise<void> => {
        const consumer = await t.consume(bus, orders, { group });
        const other = await t.connect({ topics: [orders], closeOn: ['SIGUSR2'] });
        await t.publish(other, orders);
        await t.until(() => consumer.distinct === 1, `message ${number} comes`);
        await consumer.close();
        await other.close();
      };
      for (let warm = 1; warm <= 5; warm++) await round(warm);
      await t.settled(resources, 'timers and sockets');
      const before = { resources: resources(), listeners: process.listenerCount('SIGUSR2') };
      for (let number = 1; number <= rounds; number++) await round(number);
      await t.settled(resources, 'timers and sockets');
      const grown = resources() - before.resources;
      t.measure('resourcesLeft', grown);
      t.ok(grown < rounds / 4, `${grown} more timers and sockets after ${rounds} rounds`);
      t.equal(process.listenerCount('SIGUSR2'), before.listeners, 'listeners of a signal after all buses closed');
      t.equal(bus.health().subscriptions, [], 'subscriptions that the bus still knows');
      return t.judge(lost({ topic: orders }), guard({ confirmed: rounds }));
    },
  },
];
