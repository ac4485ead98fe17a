import { sqsDoubleHarness } from '@waybill/conformance/harness/sqs-double';
import { conformance } from '@waybill/conformance/vitest';

/** What SNS in front of the queues can change: publishing, fan-out, and order. */
const differs = /^(?:P\d|D[1257]|O\d)$/;
const full = process.env['WAYBILL_SUITE'] === 'full';

for (const name of ['sqs', 'sqs-fifo'] as const)
  conformance(`${name}-double-sns`, () => sqsDoubleHarness(name, 'sns'), {
    filter: ({ id, guarantees }) => (full ? guarantees.some((one) => differs.test(one)) : /^(?:P2|D2)\./.test(id)),
    cost: ['quick', 'slow', 'fault'],
    separate: true,
  });
