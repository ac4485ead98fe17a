import { sqsHarness } from '@waybill/conformance/harness/sqs';
import { conformance } from '@waybill/conformance/vitest';

/** What differs from standard queues: the rest of the adapter is the same, and costs an emulator of FIFO queues minutes. */
const differs = /^(?:P2|P3|D3|D4|D5|D6|O\d|R\d+|E\d|L1|L5)$/;
const full = process.env['WAYBILL_SUITE'] === 'full';

conformance('sqs-fifo', () => sqsHarness('sqs-fifo'), {
  separate: 'connections',
  filter: ({ guarantees }) => full || guarantees.some((id) => differs.test(id)),
});
