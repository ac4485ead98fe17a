import { expect, test } from 'vitest';
import { run } from '../src/main.ts';

test('the printed output is what the README shows', async () => {
  const lines: string[] = [];
  const ledger = await run((line) => lines.push(line), {
    brokers: { main: 'memory:' },
    topics: { orders: { partitions: 4, groups: ['inventory', 'loyalty', 'recommendation', 'warehouse', 'fraud'] } },
  });
  expect(lines).toMatchInlineSnapshot(`
    [
      "published 300 events of 100 orders",
      "dead-lettered for inventory after 3 attempts: order 13, created: Error: no such article",
      "dead-lettered for inventory after 3 attempts: order 13, paid: Error: no such article",
      "dead-lettered for inventory after 3 attempts: order 13, shipped: Error: no such article",
      "repaired and redriven: 3 events, to inventory only",
      "inventory: 100 orders, 0 out of order",
      "loyalty: 10 customers, 7550 points",
      "recommendation: 300 events",
      "warehouse: 100 parcels in batches of up to 25",
      "fraud: 300 events, largest amount 150",
      "the slow warehouse finished last: true",
    ]
  `);
  expect([...ledger.seen.values()].every((types) => types.join() === 'created,paid,shipped')).toBe(true);
});
