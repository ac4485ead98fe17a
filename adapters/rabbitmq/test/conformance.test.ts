import { rabbitmqHarness } from '@waybill/conformance/harness/rabbitmq';
import { conformance } from '@waybill/conformance/vitest';

// A short heartbeat, so that a silent connection is given up while somebody is looking.
conformance('rabbitmq', () => rabbitmqHarness({ adapter: { heartbeat: '2s' } }));
