import { kafkaHarness } from '@waybill/conformance/harness/kafka';
import { conformance } from '@waybill/conformance/vitest';

conformance('kafka', () => kafkaHarness(), { faults: 2 }); // each restart of Kafka takes half a minute of a case
