import { afterAll, describe, test } from 'vitest';
import { consuming } from './consuming.ts';
import { publishing } from './publishing.ts';
import { broker, cleanUp, missing } from './server.ts';
import { topics } from './topics.ts';

if (broker === null || broker.can.kill !== true) {
  test.skip(missing === '' ? 'at a given address nothing is broken' : missing, () => undefined);
} else {
  describe('rabbitmq', () => {
    afterAll(cleanUp);
    publishing();
    consuming();
    topics();
  });
}
