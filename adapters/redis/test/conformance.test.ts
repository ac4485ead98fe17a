import { redisHarness } from '@waybill/conformance/harness/redis';
import { conformance } from '@waybill/conformance/vitest';

conformance('redis', () => redisHarness());
