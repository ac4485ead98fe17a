import { SqsDouble } from '@waybill/testbed';
import { expect, test } from 'vitest';
import { run } from '../../../examples/order-event-bus/src/main.ts';

const topics = { orders: { groups: ['inventory', 'loyalty', 'recommendation', 'warehouse', 'fraud'] } };

test('the order event bus runs on FIFO queues, with another URL and nothing else', async () => {
  await using double = await SqsDouble.start();
  const url = double.endpoint.replace('http', 'sqs-fifo+http');
  const lines: string[] = [];
  await run((line) => lines.push(line), {
    brokers: { main: { url, sqs: { groupRefresh: 0, pollWait: '1s' } } },
    topics,
  });
  expect(lines.at(0)).toBe('published 300 events of 100 orders');
  expect(lines).toContain('inventory: 100 orders, 0 out of order');
  expect(lines).toContain('repaired and redriven: 3 events, to inventory only');
});

test('on standard queues it does not start, and says why and who would do', async () => {
  await using double = await SqsDouble.start();
  const url = double.endpoint.replace('http', 'sqs+http');
  const starting = run(() => undefined, { brokers: { main: url }, topics });
  await expect(starting).rejects.toThrow(/order\.key: topic 'orders' has a key.*met by .*sqs-fifo/);
  expect(double.callsOf('SendMessageBatch')).toHaveLength(0);
});
