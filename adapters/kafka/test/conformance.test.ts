import { kafkaHarness } from '@waybill/conformance/harness/kafka';
import { conformance } from '@waybill/conformance/vitest';

// A short lease, so that what a killed consumer held comes again while somebody is looking.
const adapter = { lease: 3_000, timeout: '3s', metadataAge: '2s' };
conformance('kafka', () => kafkaHarness({ adapter }), { faults: 2 }); // each restart of Kafka takes half a minute of a case
