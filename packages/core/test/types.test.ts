import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import type { Bus, HandlerContext, Message, Published, Topic } from '../src/index.ts';
import { connect, topic } from '../src/index.ts';

/*
 * What must and what must not compile. `npm run check` compiles this file: each line marked as an error is one.
 */
const Order = z.object({ orderId: z.string(), amount: z.number() });
const orders = topic('orders', { schema: Order, key: (order) => order.orderId });
const untyped = topic('anything');
const dated = topic('dated', { schema: z.object({ at: z.string().transform((text) => new Date(text)) }) });

test('a topic takes its type from its schema', () => {
  expectTypeOf(orders).toEqualTypeOf<Topic<{ orderId: string; amount: number }>>();
  expectTypeOf(untyped).toEqualTypeOf<Topic<unknown>>();
});

test('a schema that transforms: publishers give what goes in, handlers get what comes out', () => {
  expectTypeOf(dated).toEqualTypeOf<Topic<{ at: Date }, { at: string }>>();
});

export async function mustCompile(bus: Bus): Promise<void> {
  expectTypeOf(await bus.publish(orders, { orderId: '1', amount: 2 })).toEqualTypeOf<Published>();
  await bus.subscribe(orders, { group: 'g' }, (message, context) => {
    expectTypeOf(message).toEqualTypeOf<Message<{ orderId: string; amount: number }>>();
    expectTypeOf(context).toEqualTypeOf<HandlerContext>();
  });
  await bus.subscribe(orders, { group: 'g', batch: { size: 10 } }, (messages, context) => {
    expectTypeOf(messages).toEqualTypeOf<readonly Message<{ orderId: string; amount: number }>[]>();
    context.fail(messages[0] as (typeof messages)[number], new Error('no'));
  });
  await bus.subscribe(orders, { group: 'g', transactional: true }, async (message, context) => {
    expectTypeOf(await context.publish(dated, { at: message.payload.orderId })).toEqualTypeOf<Published>();
  });
  await bus.publish(untyped, { anything: true });
  await bus.publish(dated, { at: '2026-01-01' });
  await connect('memory:', { topics: [orders, untyped, dated] });
}

export async function mustNotCompile(bus: Bus): Promise<void> {
  // @ts-expect-error a payload of the wrong type
  await bus.publish(orders, { orderId: 1, amount: 2 });
  // @ts-expect-error a payload that lacks a field
  await bus.publishMany(orders, [{ orderId: '1' }]);
  // @ts-expect-error a key function that gives no string
  topic('orders', { schema: Order, key: (order) => order.amount });
  // @ts-expect-error a subscription without a group
  await bus.subscribe(orders, {}, () => undefined);
  // @ts-expect-error an option that does not exist
  await bus.subscribe(orders, { group: 'g', retries: 3 }, () => undefined);
  // @ts-expect-error neither yes nor no
  await bus.subscribe(orders, { group: 'g', transactional: 'yes' }, () => undefined);
  // @ts-expect-error only batches have `fail`
  await bus.subscribe(orders, { group: 'g' }, (_message, context) => context.fail());
  // @ts-expect-error what went out of the schema is not what goes in
  await bus.publish(dated, { at: new Date() });
}
