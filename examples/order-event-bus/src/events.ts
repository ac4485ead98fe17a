import { topic } from '@waybill/core';
import { z } from 'zod';

export const OrderEvent = z.object({
  orderId: z.string(),
  type: z.enum(['created', 'paid', 'shipped']),
  customer: z.string(),
  amount: z.number(),
});
export type OrderEvent = z.infer<typeof OrderEvent>;

/** Everything that happens to an order, in order per order. */
export const orders = topic('orders', {
  schema: OrderEvent,
  key: (event) => event.orderId,
  type: (event) => event.type,
});
