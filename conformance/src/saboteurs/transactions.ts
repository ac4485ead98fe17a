import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter, AdapterSubscription, Output, Receipt } from '@waybill/core/adapter';
import { never, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

type Results = readonly ('ok' | 'lost')[];

const spares = ['P4.headers', 'R1.no-further-attempt'];

/** The adapter with other transactions; `transact` is its own. */
function transacting(
  adapter: Adapter,
  change: (
    outputs: readonly Output[],
    transact: (outputs: readonly Output[]) => Promise<Results>,
    ack: () => ReturnType<AdapterSubscription['ack']>,
  ) => Promise<Results>,
): Adapter {
  return subscribing(adapter, (inner) => ({
    transact: (outputs: readonly Output[], receipts: readonly Receipt[]) =>
      change(
        outputs,
        async (some) => (await inner.transact?.(some, receipts)) ?? [],
        () => inner.ack(receipts),
      ),
  }));
}

async function publish(adapter: Adapter, outputs: readonly Output[]): Promise<void> {
  for (const { destination, message } of outputs) await adapter.publish(destination, [message], never());
}

/** Those whose transactions are none. */
export const TRANSACTIONS: readonly Saboteur[] = [
  {
    id: 'publishes-then-settles',
    patience: 1,
    title: 'Results are stored first, and their messages settled by a second request.',
    wrap: (adapter) =>
      transacting(adapter, async (outputs, _, ack) => {
        await publish(adapter, outputs);
        await sleep(20);
        return ack();
      }),
    caughtBy: { 'T1.killed-mid-flow': '2 of message' },
    spares: [...spares, 'T1.each-message-has-its-results'],
  },
  {
    id: 'loses-a-result',
    title: 'One of ten results of a transaction is not stored.',
    wrap: (adapter, random) =>
      transacting(adapter, (outputs, transact) => transact(outputs.filter(() => random.int(1, 10) > 1))),
    caughtBy: {
      'T1.each-message-has-its-results': 'all results are there',
      'T1.results-keep-their-order': 'all results are there',
    },
    spares,
  },
  {
    id: 'results-out-of-order',
    title: 'The results of a transaction are stored in reverse.',
    wrap: (adapter) => transacting(adapter, (outputs, transact) => transact(outputs.toReversed())),
    caughtBy: { 'T1.results-keep-their-order': 'in their order' },
    spares: [...spares, 'T1.each-message-has-its-results'],
  },
  {
    id: 'results-of-what-was-lost',
    patience: 1,
    title: 'Results are stored though their messages belong to somebody else by now.',
    wrap: (adapter) =>
      transacting(adapter, async (outputs, transact) => {
        const settled = await transact(outputs);
        if (settled.includes('lost')) await publish(adapter, outputs);
        return settled;
      }),
    caughtBy: { 'T2.thrown-out-commits-nothing': '2 of message' },
    spares: [...spares, 'T1.each-message-has-its-results'],
  },
  {
    id: 'repeats-an-unanswered-transaction',
    patience: 1,
    title: 'A transaction whose answer was lost is taken for one that failed, and its results are stored again.',
    wrap: (adapter) =>
      transacting(adapter, async (outputs, transact) => {
        try {
          return await transact(outputs);
        } catch (error) {
          const again = outputs.map(({ destination, message }) => ({
            destination,
            message: { ...message, sendId: `${message.sendId} again` },
          }));
          await publish(adapter, again);
          throw error;
        }
      }),
    caughtBy: { 'T1.answer-lost': '2 of message' },
    spares: [...spares, 'T1.each-message-has-its-results'],
  },
];
