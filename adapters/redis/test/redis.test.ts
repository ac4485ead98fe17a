import { afterAll, beforeAll, describe, test } from 'vitest';
import { isRequired } from '@waybill/testbed';
import { badInput } from './bad-input.ts';
import { consuming } from './consuming.ts';
import { faults } from './faults.ts';
import { handOver } from './hand-over.ts';
import { leasing } from './leasing.ts';
import { orderedTopics } from './ordered-topics.ts';
import { ordering } from './ordering.ts';
import { publishing } from './publishing.ts';
import { broker, cleanUp, missing, raw } from './server.ts';
import { topics } from './topics.ts';

if (broker === null && isRequired('redis'))
  test('a Redis server is there, as WAYBILL_REQUIRE wants', () => {
    throw new Error(missing);
  });

describe.skipIf(broker === null)(broker === null ? `not-run: ${missing}` : 'redis', () => {
  beforeAll(() => raw.connect());
  afterAll(cleanUp);
  publishing();
  consuming();
  topics();
  ordering();
  orderedTopics();
  leasing();
  faults();
  badInput();
  handOver();
});
