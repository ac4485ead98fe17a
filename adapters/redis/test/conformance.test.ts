import { redisHarness } from '@waybill/conformance/harness/redis';
import { conformance } from '@waybill/conformance/vitest';

// A short lease, so that what a killed consumer held comes again while somebody is looking.
conformance('redis', () => redisHarness({ adapter: { lease: '3s' } }));
