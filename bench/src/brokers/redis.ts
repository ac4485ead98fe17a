import { randomUUID } from 'node:crypto';
import { describeNotRun, isNotRun, startBroker } from '@waybill/testbed';
import { Redis } from 'ioredis';
import type { BenchBroker, BenchClient, Source } from '../bench-client.ts';
import type { Order } from '../payloads.ts';

export const redis: BenchBroker = {
  name: 'redis',
  against: 'ioredis: XADD in pipelines of 100, two in flight; XREADGROUP COUNT 500, one XACK for each read',
  start: async () => {
    const broker = await startBroker('redis', { fsync: 'everysec' });
    if (isNotRun(broker)) return { missing: describeNotRun(broker) };
    return {
      version: broker.version,
      url: broker.url,
      raw: async (style) => rawRedis(broker.url, style),
      stop: async () => broker[Symbol.asyncDispose](),
    };
  },
};

type Entry = readonly [id: Buffer, fields: readonly Buffer[]];

function rawRedis(url: string, style: 'best' | 'naive'): BenchClient {
  const { pipeline, inFlight, read } =
    style === 'best' ? { pipeline: 100, inFlight: 2, read: 500 } : { pipeline: 1, inFlight: 1, read: 1 };
  const main = new Redis(url);

  const publisher = async (topic: string, source: Source): Promise<void> => {
    for (let orders = await source(pipeline); orders.length > 0; orders = await source(pipeline)) {
      const batch = main.pipeline();
      for (const order of orders)
        batch.xadd(topic, '*', 'id', randomUUID(), 'body', Buffer.from(JSON.stringify(order)));
      for (const [error] of (await batch.exec()) ?? []) if (error !== null) throw error;
    }
  };

  return {
    create: async (topic) => void (await main.xgroup('CREATE', topic, 'group', '0', 'MKSTREAM')),
    publish: async (topic, source) => {
      await Promise.all(Array.from({ length: inFlight }, () => publisher(topic, source)));
    },
    consume: async (topic, handle) => {
      const reader = main.duplicate();
      let stopped = false;
      const next = async (): Promise<readonly Entry[]> => {
        const reply = await reader.xreadgroupBuffer(
          'GROUP', 'group', 'consumer', 'COUNT', read, 'BLOCK', 200, 'STREAMS', topic, '>',
        ); // prettier-ignore
        return ((reply ?? []) as [Buffer, Entry[]][])[0]?.[1] ?? [];
      };
      const run = async (): Promise<void> => {
        let acking: Promise<unknown> = Promise.resolve();
        let reading = style === 'best' ? next() : null;
        while (!stopped) {
          const entries = await (reading ?? next());
          if (reading !== null) reading = next(); // while these are handled
          if (entries.length === 0) continue;
          for (const [, fields] of entries) {
            if ((fields[1] as Buffer).toString() === '') throw new Error('an entry has no id');
            handle(JSON.parse((fields[3] as Buffer).toString()) as Order);
          }
          await acking; // of the read before
          acking = main.xack(topic, 'group', ...entries.map(([id]) => id));
          if (style === 'naive') await acking;
        }
        await Promise.all([reading, acking]);
        reader.disconnect();
      };
      const running = run();
      return () => {
        stopped = true;
        return running;
      };
    },
    close: async () => main.disconnect(),
  };
}
