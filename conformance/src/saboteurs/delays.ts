import type { OutgoingMessage } from '@waybill/core/adapter';
import { altering, claiming, confirmed, never, overlay } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P2.array-is-one-payload', 'O1.next-waits-for-settled'];

function times(message: OutgoingMessage, by: number): OutgoingMessage {
  return message.delay === 0 ? message : { ...message, delay: Math.ceil(message.delay * by) };
}

/** Those that get delays wrong. */
export const DELAYS: readonly Saboteur[] = [
  {
    id: 'delays-too-short',
    title: 'Delayed messages come after half of their delay.',
    wrap: (adapter) => altering(adapter, 'topic', (message) => times(message, 0.5)),
    caughtBy: { 'P7.never-early': 'early: ' },
    spares,
  },
  {
    id: 'delays-too-long',
    title: 'Delayed messages come after ten times their delay.',
    wrap: (adapter) => altering(adapter, 'topic', (message) => times(message, 10)),
    caughtBy: { 'P7.never-early': 'all are delivered' },
    spares,
  },
  {
    id: 'later-copies-come-early',
    target: 'memory-emulated',
    title: 'Copies that are to come later come at once.',
    wrap: (adapter) =>
      altering(adapter, 'inbox', (message) => {
        const { notBefore: _, ...control } = message.control ?? {};
        return { ...message, delay: 0, control };
      }),
    caughtBy: { 'R2.requeued-copies': 'early: ', 'R13.too-long-when-unordered': 'early: ' },
    spares,
  },
  {
    id: 'later-copies-come-late',
    target: 'memory-emulated',
    title: 'Copies that are to come later come ten seconds late.',
    wrap: (adapter) => altering(adapter, 'inbox', (message) => ({ ...message, delay: message.delay + 10_000 })),
    caughtBy: { 'R2.requeued-copies': 'all are handled in the end' },
    spares,
  },
  {
    id: 'delays-in-the-client',
    title: 'Delayed messages wait in the process of their publisher, and are gone when its connection breaks.',
    wrap: (adapter) => {
      let timers: NodeJS.Timeout[] = [];
      const forget = (): void => {
        for (const timer of timers) clearTimeout(timer);
        timers = [];
      };
      return overlay(adapter, {
        connect: (signal) => {
          forget();
          return adapter.connect(signal);
        },
        close: () => {
          forget();
          return adapter.close();
        },
        publish: async (destination, messages, signal) => {
          const now = messages.filter(({ delay }) => delay === 0);
          const sent = now.length === 0 ? [] : [...(await adapter.publish(destination, now, signal))];
          for (const message of messages) {
            if (message.delay === 0) continue;
            const later = { ...message, delay: 0 };
            const store = (): void => void adapter.publish(destination, [later], never()).catch(() => undefined);
            timers.push(setTimeout(store, message.delay));
          }
          return messages.map(({ delay }) => (delay === 0 ? (sent.shift() ?? confirmed) : confirmed));
        },
      });
    },
    caughtBy: { 'P7.survives-a-restart': 'all are delivered' },
    spares,
  },
  {
    id: 'claims-delay',
    title: 'It says that the broker holds delayed messages back, and the broker delivers them at once.',
    target: 'memory-emulated',
    wrap: (adapter) =>
      claiming(
        altering(adapter, 'topic', (message) => ({ ...message, delay: 0 })),
        ({ publish }) => ({ publish: { ...publish, delay: { ...publish.delay, by: 'native' } } }),
      ),
    caughtBy: { 'P7.never-early': 'early: ', 'P7.to-every-group': 'early: ' },
    spares,
  },
];
