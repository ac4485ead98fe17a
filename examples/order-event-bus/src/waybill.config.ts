import { defineConfig } from '@waybill/core';

export default defineConfig({
  brokers: { main: process.env['WAYBILL_URL'] ?? 'memory:' }, // the one line that changes the broker
  source: 'order-service',
  topics: { orders: { partitions: 4, groups: ['inventory', 'loyalty', 'recommendation', 'warehouse', 'fraud'] } },
});
