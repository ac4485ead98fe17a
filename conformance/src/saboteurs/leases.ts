import { claiming, overlay, respecifying, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'R1.no-further-attempt'];

/** Those that lose hold of a delivery, or of a partition, before its time. */
export const LEASES: readonly Saboteur[] = [
  {
    id: 'lease-ends-early',
    title: 'A lease ends at the broker after a quarter of its time.',
    wrap: (adapter) =>
      overlay(adapter, {
        subscribe: async (spec, signal) => {
          const inner = await adapter.subscribe({ ...spec, lease: spec.lease / 4 }, signal);
          return overlay(inner, {
            receive: async (...args) => {
              const all = await inner.receive(...args);
              return all.map((one) => ({ ...one, leaseUntil: performance.now() + spec.lease }));
            },
            extend: async (receipts, ms) =>
              ((await inner.extend?.(receipts, ms / 4)) ?? []).map((one) =>
                one === 'lost' ? one : one + (ms * 3) / 4,
              ),
          });
        },
      }),
    caughtBy: {
      'D6.all-that-is-held-is-kept': 'handler runs of both consumers',
      'D6.kept-while-the-handler-runs': 'handler runs of the second consumer',
    },
    spares,
  },
  {
    id: 'ignores-extensions',
    title: 'The extension of a lease is answered and not sent.',
    wrap: (adapter) =>
      subscribing(adapter, () => ({ extend: async (receipts, ms) => receipts.map(() => performance.now() + ms) })),
    caughtBy: {
      'D6.kept-while-the-handler-runs': 'handler runs of the second consumer',
    },
    spares,
  },
  {
    id: 'lets-go-at-once',
    title: 'A partition is handed over without waiting for the handlers of its old owner.',
    wrap: (adapter) =>
      respecifying(adapter, ({ onRevoked }) => ({
        onRevoked: async (partitions) => {
          onRevoked(partitions).catch(() => undefined);
        },
      })),
    caughtBy: {
      'O3.hand-over-waits-for-handlers': 'deliveries to the new consumer',
      'O3.joins-and-leaves': 'overtaken: ',
    },
    spares,
  },
  {
    id: 'constant-fence',
    title: 'The fence does not grow when a partition changes its owner.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        receive: async (...args) =>
          (await inner.receive(...args)).map((one) => (one.fence === null ? one : { ...one, fence: 7 })),
      })),
    caughtBy: { 'O3.zombie-changes-nothing': 'the fence of partition' },
    spares,
  },
  {
    id: 'takes-any-partition-count',
    title: 'A partition count that differs from the recorded one is taken.',
    wrap: (adapter) =>
      overlay(adapter, {
        provision: (spec, signal) =>
          adapter.provision(spec, signal).catch((error: unknown) => {
            if (adapter.classify(error) !== 'invalid') throw error;
          }),
      }),
    caughtBy: { 'O7.other-count-is-refused': 'succeeded with' },
    spares,
  },
  {
    id: 'claims-prompt-redelivery',
    patience: 1,
    title: 'It promises what a killed consumer had in flight fifty times sooner than the broker gives it back.',
    wrap: (adapter) =>
      claiming(adapter, ({ deliver }) => ({
        deliver: { ...deliver, redelivery: { ...deliver.redelivery, bound: deliver.redelivery.bound / 50 } },
      })),
    caughtBy: { 'D5.killed-with-messages-in-flight': 'late: ' },
    spares,
  },
  {
    id: 'claims-durable-attempts',
    patience: 0.5,
    title: 'It says that the broker keeps the count of attempts through a crash, and the broker does not.',
    wrap: (adapter) => claiming(adapter, ({ settle }) => ({ settle: { ...settle, attempts: { durable: true } } })),
    caughtBy: { 'R1.attempts-across-a-crash': 'runs after the crash' },
    spares,
  },
];
