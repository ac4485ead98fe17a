import { rabbitmqHarness } from '@waybill/conformance/harness/rabbitmq';
import { conformance } from '@waybill/conformance/vitest';

conformance('rabbitmq', () => rabbitmqHarness());
