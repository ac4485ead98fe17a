import { afterAll, beforeAll, describe, test } from 'vitest';
import { consuming } from './consuming.ts';
import { faults } from './faults.ts';
import { handOver } from './hand-over.ts';
import { leasing } from './leasing.ts';
import { orderedTopics } from './ordered-topics.ts';
import { ordering } from './ordering.ts';
import { publishing } from './publishing.ts';
import { cleanUp, missing, raw, required, url } from './server.ts';
import { topics } from './topics.ts';

if (url === undefined && required) {
  test('a Redis server is there, as WAYBILL_REQUIRE wants', () => {
    throw new Error(missing);
  });
} else if (url === undefined) {
  test.skip(missing, () => undefined);
} else {
  describe('redis', () => {
    beforeAll(() => raw.connect());
    afterAll(cleanUp);
    publishing();
    consuming();
    topics();
    ordering();
    orderedTopics();
    leasing();
    faults();
    handOver();
  });
}
