import { altering, confirmed, publishing, receiving } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'O1.next-waits-for-settled'];

/** Those that spoil dead letters, and what keeps count of a message that kills. */
export const DEAD_LETTERS: readonly Saboteur[] = [
  {
    id: 'dead-letters-without-a-code',
    title: 'A dead letter does not say why the message was given up.',
    wrap: (adapter) =>
      altering(adapter, 'dead-letter', (message) => {
        const { code: _, ...dead } = message.control?.dead ?? {};
        return { ...message, control: { ...message.control, dead } };
      }),
    caughtBy: { 'R5.record': 'error name and code', 'R1.no-further-attempt': 'codes of the dead letters' },
    spares,
  },
  {
    id: 'dead-letters-without-times',
    title: 'A dead letter does not say when the message failed first.',
    wrap: (adapter) =>
      altering(adapter, 'dead-letter', (message) => {
        const { first: _, ...dead } = message.control?.dead ?? {};
        return { ...message, control: { ...message.control, dead } };
      }),
    caughtBy: { 'R5.record': 'between the publish and now' },
    spares,
  },
  {
    id: 'dead-letters-in-base64',
    title: 'The body of a dead letter is encoded once more.',
    wrap: (adapter) =>
      altering(adapter, 'dead-letter', (message) => ({
        ...message,
        body: Buffer.from(Buffer.from(message.body).toString('base64')),
      })),
    caughtBy: { 'R5.record': 'body', 'R5.every-message-once': 'is not valid JSON' },
    spares,
  },
  {
    id: 'drops-dead-letters',
    title: 'Every second dead letter is confirmed and thrown away.',
    wrap: (adapter, random) =>
      publishing(adapter, async (messages, send, destination) => {
        const kept = messages.filter(() => destination.kind !== 'dead-letter' || random.chance(0.5));
        const outcomes = kept.length === 0 ? [] : [...(await send(kept))];
        return messages.map((message) => (kept.includes(message) ? (outcomes.shift() ?? confirmed) : confirmed));
      }),
    caughtBy: {
      'R5.every-message-once': 'the messages that have a dead letter',
      'R1.attempts-then-dead-letter-1': 'dead letters: ',
      'R1.attempts-then-dead-letter-2': 'dead letters: ',
      'R1.attempts-then-dead-letter-3': 'dead letters: ',
      'R1.attempts-then-dead-letter-6': 'dead letters: ',
      'R7.no-loop': 'redriven: ',
      'R7.in-its-keys-lane': 'every fifth is dead-lettered',
      'R7.purge': 'dead letters after refused redrives',
      'R8.schema': 'dead letters: ',
      'R8.schema-late': 'dead letters: ',
    },
    spares,
  },
  {
    id: 'counts-one-arrival',
    title: 'The count of arrivals is always 1.',
    wrap: (adapter) =>
      receiving(adapter, (all) => all.map((one) => (one.deliveryCount === null ? one : { ...one, deliveryCount: 1 }))),
    caughtBy: {
      'R10.killer-in-many-keys': 'handler runs of the killer',
      'R10.killer-among-neighbours': 'its neighbours are handled',
      'R10.killer-in-one-key': 'its neighbours are handled',
    },
    spares,
  },
];
