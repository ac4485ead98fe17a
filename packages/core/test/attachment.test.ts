import { expect, test } from 'vitest';
import { Attachment } from '../src/attachment.ts';
import type { AdapterSubscription, Delivery, Output, Receipt } from '../src/contract.ts';
import type { Held } from '../src/held.ts';
import type { Link } from '../src/link.ts';
import { FakeClock } from './fake-clock.ts';

interface Rig {
  readonly clock: FakeClock;
  /** Outputs and receipts of each `transact` call, and what it answers or throws; default: all is well. */
  readonly transactions: { readonly outputs: string[]; readonly receipts: Receipt[] }[];
  readonly answers: (readonly ('ok' | 'lost')[] | Error)[];
  /** Why the attachment was given up. */
  readonly broken: string[];
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
  const [transactions, answers, broken]: [Rig['transactions'], Rig['answers'], string[]] = [[], [], []];
  const subscription = {
    reserved: 0,
    ack: (receipts: readonly Receipt[]) => {
      calls.push([...receipts]);
      return Promise.resolve(receipts.map(() => 'ok' as const));
    },
    transact: async (outputs: readonly Output[], receipts: readonly Receipt[]) => {
      transactions.push({ outputs: outputs.map(({ message }) => message.id), receipts: [...receipts] });
      const answer = answers.shift() ?? receipts.map(() => 'ok' as const);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  } as unknown as AdapterSubscription;
  const clock = new FakeClock();
  const lost: string[] = [];
  const link = {
    clock,
    adapter: { supports: { settle: { mode, nack: { attempts: false } } } },
    wrap: (error: Error) => error,
  } as unknown as Link;
  const owner = {
    freed: () => undefined,
    leaseLost: (held: Held) => void lost.push(held.delivery.id),
    broken: (error: Error) => void broken.push(error.message),
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
  return { clock, lost, attachment, calls, hold, transactions, answers, broken };
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

/** What its handler has published. */
function withOutput(held: Held): Held {
  held.outputs = [{ message: { id: `result of ${held.delivery.id}` } } as unknown as Output];
  return held;
}

test('outputs go with their ack, and acks without outputs that are due go with them', async () => {
  const { attachment, calls, transactions, hold } = rig('individual');
  attachment.ack(withOutput(hold(1)));
  attachment.ack(hold(2));
  await microtasks(50);
  expect(calls).toEqual([]);
  expect(transactions).toEqual([{ outputs: ['result of m1'], receipts: [1, 2] }]);
  expect(attachment.held.size).toBe(0);
});

test('cumulative: outputs wait for the watermark, or a crash would repeat them', async () => {
  const { attachment, transactions, hold } = rig('cumulative');
  const [first, second, third] = [hold(1), withOutput(hold(2)), withOutput(hold(3))];
  attachment.ack(third);
  attachment.ack(second);
  await microtasks(50);
  expect(transactions).toEqual([]);
  expect(attachment.held.size).toBe(3);
  attachment.ack(first);
  await microtasks(50);
  expect(transactions).toEqual([{ outputs: ['result of m3', 'result of m2'], receipts: [3] }]);
  expect(attachment.held.size).toBe(0);
});

test('what was lost leaves its transaction, which goes again without it', async () => {
  const { attachment, transactions, answers, lost, hold } = rig('individual');
  answers.push(['ok', 'lost', 'ok']);
  for (const receipt of [1, 2, 3]) attachment.ack(withOutput(hold(receipt)));
  await microtasks(50);
  expect(transactions.at(1)).toEqual({ outputs: ['result of m1', 'result of m3'], receipts: [1, 3] });
  expect(lost).toEqual(['m2']);
});

test('cumulative: a transaction that was lost in part ends the attachment, for its receipts settle more than its outputs', async () => {
  const { attachment, transactions, answers, broken, hold } = rig('cumulative');
  answers.push(['ok', 'lost']);
  const other = attachment.hold({ ...hold(1).delivery, receipt: 9, partition: 1 }, null, true);
  attachment.ack(withOutput(other));
  attachment.ack(withOutput([...attachment.held][0] as Held));
  await microtasks(50);
  expect(transactions.length).toBe(1);
  expect(broken).toEqual(['a partition was lost in a transaction of orders/inventory']);
});

test('a transaction that fails ends the attachment, and nothing of it goes again', async () => {
  const { attachment, transactions, answers, broken, hold } = rig('individual');
  answers.push(new Error('no answer'));
  attachment.ack(withOutput(hold(1)));
  await microtasks(50);
  expect([transactions.length, broken]).toEqual([1, ['no answer']]);
});

test('cumulative: behind what was given back nothing can be settled, so it is let go at once', async () => {
  const { attachment, transactions, lost, hold } = rig('cumulative');
  const [first, second, third, fourth] = [withOutput(hold(1)), hold(2), withOutput(hold(3)), withOutput(hold(4))];
  attachment.ack(third);
  await attachment.giveBack([second]);
  expect(lost).toEqual(['m3']);
  attachment.ack(fourth);
  expect(lost).toEqual(['m3', 'm4']);
  attachment.ack(first);
  await microtasks(50);
  expect(transactions).toEqual([{ outputs: ['result of m1'], receipts: [1] }]);
  expect(attachment.held.size).toBe(0);
});

test('cumulative: outputs of a partition that was lost and came back are not those of its new life', async () => {
  const { attachment, calls, transactions, hold } = rig('cumulative');
  const [, second] = [hold(1), withOutput(hold(2))];
  attachment.ack(second);
  attachment.lose(() => true);
  attachment.forget([0]);
  for (const receipt of [11, 12]) attachment.ack(hold(receipt));
  await attachment.flush();
  expect([transactions, calls]).toEqual([[], [[12]]]);
});
