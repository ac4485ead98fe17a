import { isRequired } from '@waybill/testbed';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { assigning } from './assigning.ts';
import { consuming } from './consuming.ts';
import { publishing } from './publishing.ts';
import { begin, broker, cleanUp, missing } from './server.ts';
import { strangers } from './strangers.ts';
import { topics } from './topics.ts';
import { transacting } from './transacting.ts';

if (broker === null && isRequired('kafka'))
  test('a Kafka broker is there, as WAYBILL_REQUIRE wants', () => {
    throw new Error(missing);
  });

describe.skipIf(broker === null)(broker === null ? `not-run: ${missing}` : 'kafka', () => {
  beforeAll(begin);
  afterAll(cleanUp);
  publishing();
  consuming();
  assigning();
  strangers();
  topics();
  transacting();
});
