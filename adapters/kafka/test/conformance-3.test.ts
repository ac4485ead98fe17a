import { kafkaHarness } from '@waybill/conformance/harness/kafka';
import { conformance } from '@waybill/conformance/vitest';
import { test } from 'vitest';

/** The last 3.x: another release of the broker, in a process of its own; too much for every run. */
if (process.env['WAYBILL_SUITE'] === 'full')
  conformance(
    'kafka 3.9',
    () => kafkaHarness({ start: { version: '3.9.2', from: 'process' }, adapter: { lease: 3_000, timeout: '3s' } }),
    { cost: ['quick'] },
  );
else test.skip('not-run: Kafka 3.9; npm run test:full runs it', () => undefined);
