import { z } from 'zod';

/** 1 KiB of bytes: no codec work, so what is measured is Waybill. */
export const BYTES: Uint8Array = Buffer.alloc(1024, 'w');

export const Order = z.object({
  orderId: z.string(),
  type: z.enum(['created', 'paid', 'shipped']),
  customer: z.string(),
  currency: z.string(),
  amount: z.number(),
  express: z.boolean(),
  channel: z.string(),
  note: z.string(),
  version: z.number(),
  address: z.object({ name: z.string(), street: z.string(), city: z.string(), zip: z.string(), country: z.string() }),
  items: z.array(z.object({ sku: z.string(), name: z.string(), quantity: z.number(), price: z.number() })),
});
export type Order = z.infer<typeof Order>;

/** Nested, and 1 KiB as JSON. */
export const ORDER: Order = filledTo(1024, {
  orderId: '4711-2026-000042',
  type: 'created',
  customer: 'customer-0042',
  currency: 'EUR',
  amount: 1234.56,
  express: false,
  channel: 'web',
  note: '',
  version: 3,
  address: { name: 'A. Customer', street: 'Long Street 12', city: 'Harbour', zip: '12345', country: 'DE' },
  items: Array.from({ length: 6 }, (_, index) => ({
    sku: `sku-${index}-0815`,
    name: `Article number ${index}`,
    quantity: index + 1,
    price: 9.99,
  })),
});

function filledTo(bytes: number, order: Order): Order {
  return { ...order, note: '.'.repeat(bytes - JSON.stringify(order).length) };
}
