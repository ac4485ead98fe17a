import type { Adapter } from '@waybill/core/adapter';
import { memoryHarness } from '../src/harness/memory.ts';
import { wrapHarness } from '../src/harness/wrapped.ts';
import { conformance } from '../src/vitest.ts';

conformance('memory-cumulative', () => memoryHarness('memory-cumulative'), { separate: true });

/** As on Kafka: a lease is the whole consumer's, however long its handlers take. */
function ofConsumers(adapter: Adapter): Adapter {
  const { supports } = adapter;
  return Object.assign(adapter, { supports: { ...supports, lease: { ...supports.lease, by: 'emulated' } } });
}

conformance(
  'memory-cumulative, leases of consumers',
  () => wrapHarness(memoryHarness('memory-cumulative'), 'memory-cumulative', ofConsumers),
  { filter: ({ id }) => id.startsWith('R12.') },
);
