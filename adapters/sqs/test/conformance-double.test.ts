import { sqsDoubleHarness } from '@waybill/conformance/harness/sqs-double';
import { conformance } from '@waybill/conformance/vitest';

/** What an emulator can't be asked for: sends that are refused, deliveries that come twice. */
const asked = new Set(['reject-sends', 'duplicate']);

for (const name of ['sqs', 'sqs-fifo'] as const)
  conformance(`${name}-double`, () => sqsDoubleHarness(name), {
    filter: ({ faults = [] }) => faults.some((fault) => asked.has(fault)),
    cost: ['quick', 'slow', 'fault'],
    separate: true,
  });
