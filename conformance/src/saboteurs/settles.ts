import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Adapter,
  type AdapterSubscription,
  type Delivery,
  partitionOf,
  type Receipt,
  type SubscriptionSpec,
} from '@waybill/core/adapter';
import { never, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'P5.verify-refuses-a-missing-topic'];

/** A subscription that knows what it has handed out and not settled. */
function holding(
  adapter: Adapter,
  members: (
    inner: AdapterSubscription,
    held: Map<Receipt, Delivery>,
    spec: SubscriptionSpec,
  ) => Partial<AdapterSubscription>,
): Adapter {
  return subscribing(adapter, (inner, spec) => {
    const held = new Map<Receipt, Delivery>();
    return {
      receive: async (...args) => {
        const all = await inner.receive(...args);
        for (const one of all) held.set(one.receipt, one);
        return all;
      },
      ack: (receipts) => {
        for (const receipt of receipts) held.delete(receipt);
        return inner.ack(receipts);
      },
      ...members(inner, held, spec),
    };
  });
}

/** Those that settle what they should not, or do not settle. */
export const SETTLES: readonly Saboteur[] = [
  {
    id: 'acks-on-arrival',
    patience: 1,
    title: 'A delivery is settled when it is received, before its handler.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        receive: async (...args) => {
          const all = await inner.receive(...args);
          if (all.length > 0) await inner.ack(all.map(({ receipt }) => receipt));
          return all;
        },
      })),
    caughtBy: {
      'D5.killed-with-messages-in-flight': 'lost: ',
    },
    spares,
  },
  {
    id: 'acks-a-neighbour',
    patience: 1,
    title: 'An ack settles one more delivery of the same consumer.',
    wrap: (adapter) =>
      holding(adapter, (inner, held) => ({
        ack: (receipts) => {
          for (const receipt of receipts) held.delete(receipt);
          const [other] = held.keys();
          return inner
            .ack(other === undefined ? receipts : [...receipts, other])
            .then((all) => all.slice(0, receipts.length));
        },
      })),
    caughtBy: { 'D5.settled-out-of-order': 'gap-committed: ' },
    spares,
  },
  {
    id: 'acks-what-is-given-back',
    title: 'Giving back settles.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        nack: async (receipts) => void (await inner.ack(receipts)),
      })),
    caughtBy: {
      'R3.drains': 'two are being handled',
      'D5.closed-with-messages-in-hand': 'the other one gets the rest',
      'O3.drain-then-take-over': 'everything is handled',
      'L2.running-finish-unstarted-go-back': 'reaches the other consumer',
      'L2.parked-retries-go-back': 'all come to the next consumer',
      'F7.key-mates-are-not-settled-early': 'the next consumer gets the rest',
    },
    spares,
  },
  {
    id: 'acks-on-close',
    title: 'What a subscription still holds when it closes is settled.',
    wrap: (adapter) =>
      holding(adapter, (inner, held) => ({
        close: async () => {
          if (held.size > 0) await inner.ack([...held.keys()]).catch(() => undefined);
          await inner.close();
        },
      })),
    caughtBy: {
      'D6.signal-at-the-drain-deadline': 'handled by the next one',
      'R3.drain-deadline': 'the messages come again',
      'R6.comes-again-when-never-copied': 'all come again',
      'L2.deadline-fires-signals': 'all four come again',
    },
    spares,
  },
  {
    id: 'forgets-acks',
    patience: 1,
    title: 'One in twenty acks is answered and not sent.',
    wrap: (adapter, random) =>
      subscribing(adapter, (inner) => ({
        ack: async (receipts) => {
          const kept = receipts.filter(() => !random.chance(0.05));
          const results = new Map<Receipt, 'ok' | 'lost'>();
          for (const [index, result] of (await inner.ack(kept)).entries()) results.set(kept[index], result);
          return receipts.map((receipt) => results.get(receipt) ?? 'ok');
        },
      })),
    caughtBy: { 'D1.in-portions': 'duplicated: ' },
    spares,
  },
  {
    id: 'acks-late',
    patience: 1,
    title: 'An ack is answered at once and sent half a second later.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        ack: async (receipts) => {
          void sleep(500)
            .then(() => inner.ack(receipts))
            .catch(() => undefined);
          return receipts.map(() => 'ok');
        },
      })),
    caughtBy: {
      'D4.killed-in-the-handler-unordered': 'duplicated: ',
      'D4.killed-in-the-handler-ordered': 'duplicated: ',
      'D4.cut-after-the-settle': 'duplicated: ',
    },
    spares,
  },
  {
    id: 'hides-lost-settles',
    title: 'An ack that comes too late is answered as if it had settled.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        ack: async (receipts) => {
          await inner.ack(receipts);
          return receipts.map(() => 'ok');
        },
        extend: async (receipts, ms) => {
          const all = (await inner.extend?.(receipts, ms)) ?? [];
          return all.map((one) => (one === 'lost' ? performance.now() + ms : one));
        },
      })),
    caughtBy: { 'D6.lost-lease-fires-the-signal': 'the signals fire' },
    spares,
  },
  {
    id: 'commits-past-a-gap',
    patience: 1,
    title: 'Where one receipt settles all before it, the latest one handed out is committed.',
    target: 'memory-cumulative',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => {
        const latest = new Map<number, Receipt>();
        const partitions = new Map<Receipt, number>();
        return {
          receive: async (...args) => {
            const all = await inner.receive(...args);
            for (const { receipt, partition, origin } of all) {
              if (origin !== 'topic') continue;
              latest.set(partition, receipt);
              partitions.set(receipt, partition);
            }
            return all;
          },
          ack: (receipts) => inner.ack(receipts.map((receipt) => latest.get(partitions.get(receipt) ?? -1) ?? receipt)),
        };
      }),
    caughtBy: { 'D5.settled-out-of-order': 'gap-committed: ' },
    spares,
  },
  {
    id: 'gives-back-to-the-end',
    title: 'A failed message that is given back goes to the end of its topic.',
    wrap: (adapter) =>
      holding(adapter, (inner, held, { destination }) => ({
        nack: async (receipts, options) => {
          for (const receipt of receipts) {
            const one = held.get(receipt);
            if (!options.failed || one === undefined) await inner.nack?.([receipt], options);
            else {
              const { id, time, key, type, source, contentType, headers, control, body } = one;
              const partition =
                destination.partitions === null || key === null ? null : partitionOf(key, destination.partitions);
              const copy = { id, time, key, type, source, contentType, headers, control, body };
              await adapter.publish(
                destination,
                [{ ...copy, sendId: `${id}-${Math.random()}`, partition, delay: 0 }],
                never(),
              );
              await inner.ack([receipt]);
            }
          }
        },
      })),
    caughtBy: { 'O2.drain-in-backoff': 'overtaken: ' },
    spares,
  },
  {
    id: 'drain-costs-an-attempt',
    title: 'A message that is given back unhandled comes again as the second attempt.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        nack: async (receipts, options) => inner.nack?.(receipts, { ...options, failed: true, attempt: 2 }),
      })),
    caughtBy: {
      'R3.drains': 'attempts',
      'D5.closed-with-messages-in-hand': 'attempts: ',
      'L2.running-finish-unstarted-go-back': 'attempts: ',
    },
    spares,
  },
  {
    id: 'forgets-failed-attempts',
    title: 'The attempt is not stored with a message that is given back after a failure.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        nack: async (receipts, options) => inner.nack?.(receipts, { ...options, failed: false, attempt: 0 }),
      })),
    caughtBy: { 'O2.drain-in-backoff': 'attempts: ', 'R1.given-up-without-dead-letter': 'attempts: ' },
    spares,
  },
];
