import { sqsHarness } from '@waybill/conformance/harness/sqs';
import { conformance } from '@waybill/conformance/vitest';

conformance('sqs', () => sqsHarness('sqs'), { separate: 'connections' });
