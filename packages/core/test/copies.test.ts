import { expect, test } from 'vitest';
import type { Delivery, Destination, OutgoingMessage } from '../src/contract.ts';
import { Copies } from '../src/copies.ts';
import { WaybillError } from '../src/errors.ts';
import type { Events } from '../src/events.ts';
import type { Held } from '../src/held.ts';
import type { Link } from '../src/link.ts';
import type { Publisher } from '../src/publisher.ts';
import type { Route } from '../src/route.ts';

/** The send id of the dead letter that is made of this delivery at this attempt. */
async function sendIdOf(of: Partial<Delivery>, attempt: number): Promise<string> {
  const delivery = { id: 'm1', key: null, control: null, origin: 'topic', position: null, deliveryCount: 1, ...of };
  const route = { destination: { name: 'orders__g__dlq', partitions: null } as Destination } as Route;
  let sent: OutgoingMessage | null = null;
  const publisher = { publish: async (_: Route, message: OutgoingMessage) => void (sent = message) };
  const copies = new Copies({
    link: { clock: { now: () => 1 } } as unknown as Link,
    publisher: publisher as unknown as Publisher,
    events: {} as Events,
    routes: { inbox: null, deadLetter: route },
    plan: { topic: 'orders', group: 'g', transactional: false },
  });
  const held = { delivery, attempt, firstFailure: 1, lastFailure: 1 } as unknown as Held;
  await new Promise((resolve) => copies.deadLetter(held, new WaybillError('invalid', 'no'), 'exhausted', resolve));
  return (sent as OutgoingMessage | null)?.sendId ?? '';
}

test('without a position, copies are one send for one send that they came from', async () => {
  const first = await sendIdOf({ sendId: 's1' }, 2);
  expect(await sendIdOf({ sendId: 's1', deliveryCount: 7 }, 1)).toBe(first); // the same, come again
  expect(await sendIdOf({ sendId: 's2' }, 2)).not.toBe(first); // redriven
});

test('without a position or a send, attempt and count tell them apart', async () => {
  const first = await sendIdOf({}, 2);
  expect(await sendIdOf({}, 2)).toBe(first);
  expect(await sendIdOf({ deliveryCount: 2 }, 2)).not.toBe(first);
  expect(await sendIdOf({}, 1)).not.toBe(first);
});

test('the position comes first, and the inbox counts its own', async () => {
  const first = await sendIdOf({ position: { 0: '7' }, sendId: 's1' }, 1);
  expect(await sendIdOf({ position: { 0: '7' }, sendId: 's2' }, 2)).toBe(first);
  expect(await sendIdOf({ position: { 0: '7' }, origin: 'inbox' }, 1)).not.toBe(first);
});
