import { overlay, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'O1.next-waits-for-settled'];

/** Those that do not survive a loss, an end or an error. */
export const LIVES: readonly Saboteur[] = [
  {
    id: 'reconnects-without-consumers',
    title: 'After a reconnect subscriptions stand, and receive nothing.',
    wrap: (adapter) => {
      let connects = 0;
      const counting = overlay(adapter, {
        connect: (signal) => {
          connects += 1;
          return adapter.connect(signal);
        },
      });
      return subscribing(counting, (inner) => {
        if (connects <= 1) return {};
        return {
          receive: async (max, signal, skip) => {
            await new Promise((resolve) => setTimeout(resolve, 1_000));
            return max > 1_000_000 ? inner.receive(max, signal, skip) : [];
          },
        };
      });
    },
    caughtBy: {
      'F1.limits-hold-after-reconnect': 'it receives again',
      'D9.paused-across-a-reconnect': 'the other group goes on',
      'L1.cut-under-flow': 'messages flow after fault 1',
      'L1.restart-under-flow': 'messages flow after fault 1',
      'L1.consumers-do-not-multiply': 'message 1 comes',
      'L1.lost-connection-fires-signals': 'all are handled',
    },
    spares,
  },
  {
    id: 'publish-never-answers-after-a-loss',
    title: 'A publish that was under way when the connection broke is never answered.',
    wrap: (adapter) =>
      overlay(adapter, {
        publish: async (destination, messages, signal) => {
          try {
            return await adapter.publish(destination, messages, signal);
          } catch (error) {
            if (adapter.classify(error) === 'disconnected') await new Promise(() => {});
            throw error;
          }
        },
      }),
    caughtBy: {
      'P3.order-across-a-reconnect': 'the flow goes on',
      'L1.publishes-wait-out-a-cut': 'the loss is noticed',
    },
    spares,
  },
  {
    id: 'close-hangs',
    title: 'The close of a subscription never ends.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        close: async () => {
          await inner.close();
          await new Promise(() => {});
        },
      })),
    caughtBy: {
      'R3.drain-deadline': 'the drain ends at its deadline',
      'L2.close-is-idempotent': 'a subscription closes',
      'L2.close-inside-a-handler': 'the subscription closes',
      'L2.open-close-open': 'the subscription closes',
    },
    spares: ['P5.verify-refuses-a-missing-topic'],
  },
  {
    id: 'receives-after-close',
    title: 'The close of a subscription does not reach the broker: it stays a member of its group.',
    wrap: (adapter) => subscribing(adapter, () => ({ close: async () => {} })),
    caughtBy: { 'O3.drain-then-take-over': 'everything is handled' },
    spares: ['P4.headers', 'P5.verify-refuses-a-missing-topic'],
  },
  {
    id: 'calls-everything-unavailable',
    title: 'Every error of the client is classified as passing.',
    wrap: (adapter) => overlay(adapter, { classify: () => 'unavailable' }),
    caughtBy: {
      'P5.verify-refuses-a-missing-topic': "failed with code 'unavailable'",
      'P5.none-rejects-a-missing-topic': 'rejected timeout',
      'O7.other-count-is-refused': "failed with code 'unavailable'",
    },
    spares,
  },
  {
    id: 'makes-what-is-missing',
    title: 'A topic that is only to be verified is made.',
    wrap: (adapter) =>
      overlay(adapter, { provision: (spec, signal) => adapter.provision({ ...spec, topology: 'create' }, signal) }),
    caughtBy: { 'P5.verify-refuses-a-missing-topic': 'succeeded with' },
    spares,
  },
  {
    id: 'provisioning-deletes',
    title: 'Provisioning a group that is there moves it to the end of its topic.',
    wrap: (adapter) =>
      overlay(adapter, {
        provision: async (spec, signal) => {
          await adapter.provision(spec, signal);
          if (spec.destination.kind !== 'topic') return;
          for (const { group, address } of spec.groups)
            await adapter.reset?.(spec.destination, group, address, 'latest').catch(() => undefined);
        },
      }),
    caughtBy: { 'P5.provisioning-twice': 'lost: ' },
    spares: ['P4.headers', 'P2.array-is-one-payload'],
  },
];
