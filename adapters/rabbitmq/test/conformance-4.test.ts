import { rabbitmqHarness } from '@waybill/conformance/harness/rabbitmq';
import { conformance } from '@waybill/conformance/vitest';
import { test } from 'vitest';

/** Another Debian's packages, in a tree of their own: too much for every run. */
if (process.env['WAYBILL_SUITE'] === 'full')
  conformance('rabbitmq 4.0', () => rabbitmqHarness({ start: { version: '4.0' }, adapter: { server: '4.0' } }));
else test.skip('not-run: RabbitMQ 4.0; npm run test:full runs it', () => undefined);
