import { expect, test } from 'vitest';
import { Attachment } from '../src/attachment.ts';
import type { AdapterSubscription, Delivery, Receipt } from '../src/contract.ts';
import type { Held } from '../src/held.ts';
import type { Link } from '../src/link.ts';
import { FakeClock } from './fake-clock.ts';

interface Rig {
  readonly clock: FakeClock;
  /** What was lost, by id. */
  readonly lost: string[];
  readonly attachment: Attachment;
  /** Receipts of each `ack` call. */
  readonly calls: Receipt[][];
  hold(receipt: number, leaseUntil?: number): Held;
}

/** A broker that settles whatever it is asked to. */
function rig(mode: 'individual' | 'cumulative'): Rig {
  const calls: Receipt[][] = [];
  const subscription = {
    reserved: 0,
    ack: (receipts: readonly Receipt[]) => {
      calls.push([...receipts]);
      return Promise.resolve(receipts.map(() => 'ok' as const));
    },
  } as unknown as AdapterSubscription;
  const clock = new FakeClock();
  const lost: string[] = [];
  const link = { clock, adapter: { supports: { settle: { mode } } } } as unknown as Link;
  const owner = {
    freed: () => undefined,
    leaseLost: (held: Held) => void lost.push(held.delivery.id),
    broken: () => undefined,
  };
  const attachment = new Attachment(subscription, link, owner, 30_000, 'orders/inventory');
  const hold = (receipt: number, leaseUntil: number | null = null): Held =>
    attachment.hold(
      {
        receipt,
        id: `m${receipt}`,
        partition: 0,
        origin: 'topic',
        leaseUntil,
        storedAttempt: null,
        body: new Uint8Array(1),
      } as unknown as Delivery,
      null,
      true,
    );
  return { clock, lost, attachment, calls, hold };
}

async function microtasks(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

test('an ack that comes while a flush ends is sent too, whatever the microtask', async () => {
  for (let turns = 0; turns < 20; turns++) {
    const { attachment, calls, hold } = rig('individual');
    attachment.ack(hold(1));
    await microtasks(turns);
    attachment.ack(hold(2));
    await microtasks(50);
    expect(calls.flat(), `after ${turns} microtasks`).toEqual([1, 2]);
  }
});

test('cumulative: what is settled before its handler is settled once the watermark has passed it', async () => {
  const { attachment, calls, hold } = rig('cumulative');
  const [first, second, third] = [hold(1), hold(2), hold(3)];
  const settled: string[] = [];
  for (const held of [second, third, first]) held.onAcked = (ok) => settled.push(`${held.delivery.id} ${ok}`);
  attachment.ack(second);
  attachment.ack(third);
  await microtasks(50);
  expect([calls, settled]).toEqual([[], []]);
  attachment.ack(first);
  await microtasks(50);
  expect(calls).toEqual([[3]]);
  expect(settled.toSorted()).toEqual(['m1 true', 'm2 true', 'm3 true']);
});

test('cumulative: what waits for the watermark when the attachment ends is not settled', async () => {
  const { attachment, hold } = rig('cumulative');
  const [, second] = [hold(1), hold(2)];
  const settled: boolean[] = [];
  second.onAcked = (ok) => settled.push(ok);
  attachment.ack(second);
  await microtasks(50);
  attachment.retire();
  expect(settled).toEqual([false]);
});

test('a process that wakes up after its lease owns nothing, though no timer has told it', () => {
  const { clock, lost, attachment, hold } = rig('individual');
  const [held, longer, settled] = [hold(1, 30_000), hold(2, 90_000), hold(3, 30_000)];
  settled.settled = true; // before its handler: nobody else will run it
  expect(attachment.owns(held)).toBe(true);
  clock.sleep(60_000);
  expect([held, longer, settled].map((one) => attachment.owns(one))).toEqual([false, true, true]);
  expect(lost).toEqual(['m1']);
  expect(held.signal.aborted).toBe(true);
});

test('cumulative: what was lost while its commit was under way is not settled, so nothing runs for it (D4)', async () => {
  const { attachment, hold } = rig('cumulative');
  const held = hold(1);
  const settled: boolean[] = [];
  held.onAcked = (ok) => settled.push(ok);
  Object.assign(attachment.subscription, {
    ack: async () => {
      attachment.lose(() => true);
      return ['lost'];
    },
  });
  attachment.ack(held);
  await microtasks(50);
  expect(settled).toEqual([false]);
});

test('cumulative: after a seek the watermark begins anew, or what was lost would hold it for ever', async () => {
  const { attachment, calls, hold } = rig('cumulative');
  hold(1);
  attachment.lose(() => true);
  attachment.forget();
  attachment.ack(hold(1));
  await attachment.flush();
  expect(calls).toEqual([[1]]);
});
