import { connect, topic } from '@waybill/core';
import { BYTES } from './payloads.ts';

const orders = topic<Uint8Array>('bench', { codec: 'bytes' });
const collect = (): void => (globalThis as { gc?: () => void }).gc?.();
const used = (): number => {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
};

/** MiB that stay after so many messages have gone through, and the peak on the way. Run with --expose-gc. */
export async function throughput(messages: number): Promise<{ growth: number; peak: number }> {
  await using bus = await connect({ brokers: { main: 'memory:' } });
  let handled = 0;
  await bus.subscribe(orders, { group: 'g', concurrency: 32 }, () => void handled++);
  const run = async (count: number): Promise<number> => {
    let peak = 0;
    for (let sent = 0; sent < count; sent += 1_000) {
      await Promise.all(Array.from({ length: 1_000 }, () => bus.publish(orders, BYTES)));
      const { heapUsed, external } = process.memoryUsage();
      peak = Math.max(peak, (heapUsed + external) / 2 ** 20);
    }
    return peak;
  };
  const wait = async (count: number): Promise<void> => {
    while (handled < count) await new Promise((resolve) => setImmediate(resolve));
  };
  await run(50_000);
  await wait(50_000);
  const before = used();
  const peak = await run(messages);
  await wait(50_000 + messages);
  return { growth: used() - before, peak };
}

/** MiB used when a consumer is stuck and as much was offered as the broker and the buffers take (F2). */
export async function stuck(messages: number): Promise<{ growth: number; accepted: number }> {
  const bus = await connect({
    brokers: { main: { url: 'memory:', memory: { maxBytes: 16 * 2 ** 20 } } },
    publish: { bufferMessages: 1_000, timeout: '1h' },
  });
  const before = used();
  await bus.subscribe(orders, { group: 'g', drain: 0 }, () => new Promise(() => undefined));
  let accepted = 0;
  let open = 0;
  for (let sent = 0; sent < messages && open < 2_000; sent++) {
    open++;
    bus.publish(orders, BYTES).then(
      () => (accepted++, open--),
      () => open--,
    );
    if (sent % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const growth = used() - before;
  setImmediate(() => process.exit(0)); // the stuck handler never ends, so neither would close
  return { growth, accepted };
}
