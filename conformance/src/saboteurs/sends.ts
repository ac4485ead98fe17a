import { setTimeout as sleep } from 'node:timers/promises';
import type { OutgoingMessage, SendOutcome } from '@waybill/core/adapter';
import { claiming, confirmed, never, overlay, publishing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'O1.next-waits-for-settled'];

/** Those that lie about what became of a publish. */
export const SENDS: readonly Saboteur[] = [
  {
    id: 'loses-confirmed',
    title: 'One in a hundred messages is confirmed and thrown away.',
    wrap: (adapter, random) =>
      publishing(adapter, async (messages, send, destination) => {
        const kept = messages.filter(() => destination.kind !== 'topic' || !random.chance(0.01));
        const outcomes = new Map(zip(kept, await send(kept)));
        return messages.map((message) => outcomes.get(message) ?? confirmed);
      }),
    caughtBy: {
      'P1.confirmed-is-delivered': 'lost: ',
      'P1.publish-and-close': 'lost: ',
      'F2.backlog-stays-at-the-broker': 'the backlog is read',
    },
    spares: ['O6.ordered-and-requeue', 'F1.bad-limits-are-refused'],
  },
  {
    id: 'confirms-before-storing',
    title: 'A publish is confirmed at once and stored a little later, if the connection still stands then.',
    wrap: (adapter) =>
      overlay(adapter, {
        publish: async (destination, messages, signal) => {
          signal.throwIfAborted();
          void sleep(5)
            .then(() => adapter.publish(destination, messages, never()))
            .catch(() => undefined);
          return messages.map(() => confirmed);
        },
      }),
    caughtBy: { 'P1.publish-then-die': 'lost: ', 'P1.open-while-nothing-passes': 'confirmed while nothing passes' },
    spares: ['P4.headers', 'P2.array-is-one-payload'],
  },
  {
    id: 'confirms-rejected',
    title: 'What the broker refuses is said to be confirmed.',
    wrap: (adapter) =>
      answering(adapter, (all) => all.map((outcome) => (outcome.status === 'rejected' ? confirmed : outcome))),
    caughtBy: {
      'P1.rejected-is-stored-nowhere': 'publishes rejected while the broker refused',
      'P2.passing-refusals-are-sent-again': 'lost: ',
    },
    spares,
  },
  {
    id: 'stores-rejected',
    title: 'What it says is rejected is stored all the same, a little later.',
    wrap: (adapter) =>
      publishing(adapter, async (messages, send) => {
        const all = await send(messages);
        const rejected = messages.filter((_, index) => all[index]?.status === 'rejected');
        if (rejected.length > 0)
          void sleep(500)
            .then(() => send(rejected))
            .catch(() => undefined);
        return all;
      }),
    caughtBy: { 'P1.rejected-is-stored-nowhere': 'phantom: ' },
    spares,
  },
  {
    id: 'rejects-unknown',
    title: 'A send without an answer is said to be rejected for good, though it may be stored.',
    wrap: (adapter) =>
      answering(adapter, (all) =>
        all.map((outcome) =>
          outcome.status === 'unknown' ? { status: 'rejected', error: new Error('no answer') } : outcome,
        ),
      ),
    caughtBy: { 'R5.stable-id': 'the first confirmation was lost' },
    spares,
  },
  {
    id: 'one-outcome-per-batch',
    title: 'The outcome of the last message of a batch is given to all of it.',
    wrap: (adapter) => answering(adapter, (all) => all.map(() => all.at(-1) ?? confirmed)),
    caughtBy: { 'P2.passing-refusals-are-sent-again': 'lost: ' },
    spares,
  },
  {
    id: 'sends-followers',
    title: 'Behind a refused message of a key the next ones are sent all the same.',
    wrap: (adapter) =>
      publishing(adapter, async (messages, send) => {
        const all = [...(await send(messages))];
        for (const [index, outcome] of all.entries()) {
          const message = messages[index];
          if (outcome.status !== 'skipped' || message === undefined) continue;
          const [again] = await send([message]);
          if (again !== undefined) all[index] = again;
        }
        return all;
      }),
    caughtBy: { 'F6.refusing-broker-recovers': 'reordered: ' },
    spares,
  },
  {
    id: 'retries-by-itself',
    title: 'A send without an answer is repeated inside the adapter, as another send.',
    wrap: (adapter) =>
      publishing(adapter, async (messages, send) => {
        const all = [...(await send(messages))];
        for (const [index, outcome] of all.entries()) {
          const message = messages[index];
          if (outcome.status !== 'unknown' || message === undefined) continue;
          const [again] = await send([{ ...message, sendId: `${message.sendId}-again` }]);
          if (again !== undefined) all[index] = again;
        }
        return all;
      }),
    caughtBy: { 'P2.unknown-sends-are-repeated': 'under its sendId' },
    spares,
  },
  {
    id: 'swaps-publishes',
    title: 'Two messages of a key that go in one batch sometimes change places.',
    wrap: (adapter, random) =>
      publishing(adapter, async (messages, send) => {
        const order = [...messages];
        for (let at = 1; at < order.length; at++) {
          const [one, two] = [order[at - 1] as OutgoingMessage, order[at] as OutgoingMessage];
          const before = order.findLastIndex((other, index) => index < at && other.key === two.key);
          if (two.key === null || before < 0 || !random.chance(0.05)) continue;
          order[at] = order[before] ?? one;
          order[before] = two;
        }
        const results = new Map(zip(order, await send(order)));
        return messages.map((message) => results.get(message) ?? { status: 'skipped' });
      }),
    caughtBy: {
      'P3.concurrent-publishes-keep-order': 'reordered: ',
      'P3.several-producers': 'reordered: ',
    },
    spares: ['P4.headers', 'P1.confirmed-is-delivered'],
  },
  {
    id: 'own-partitioner',
    title: 'A key is put into the partition next to the one that was asked for.',
    wrap: (adapter) =>
      publishing(adapter, (messages, send, { partitions }) =>
        send(
          messages.map((message) =>
            message.partition === null || partitions === null
              ? message
              : { ...message, partition: (message.partition + 1) % partitions },
          ),
        ),
      ),
    caughtBy: { 'O7.one-home-per-key': 'the partition of key' },
    spares,
  },
  {
    id: 'stores-twice',
    title: 'One in twenty messages is stored a second time.',
    wrap: (adapter, random) =>
      publishing(adapter, async (messages, send, destination) => {
        const all = await send(messages);
        const twice = messages.filter(() => destination.kind === 'topic' && random.chance(0.05));
        if (twice.length > 0) await send(twice.map((message) => ({ ...message, sendId: `${message.sendId}-twice` })));
        return all;
      }),
    caughtBy: {
      'D1.before-and-after-subscribe': 'duplicated: ',
      'D3.the-sum-is-exact': 'handler runs of all together',
      'E2.one-of-two-inside-the-window': 'duplicated: ',
      'E2.unknown-send-is-stored-once': 'duplicated: ',
    },
    spares: ['P4.codecs', 'P5.verify-refuses-a-missing-topic'],
  },
  {
    id: 'dedups-by-message-id',
    title: 'A message is taken for a repeat because its id is known, whatever send it is.',
    wrap: (adapter) => {
      const known = new Set<string>();
      return publishing(adapter, async (messages, send) => {
        const fresh = messages.filter(({ id }) => !known.has(id));
        for (const { id } of fresh) known.add(id);
        const results = new Map(zip(fresh, fresh.length === 0 ? [] : await send(fresh)));
        return messages.map((message) => results.get(message) ?? confirmed);
      });
    },
    caughtBy: {
      'R7.one-by-filter-all': 'dead letters: 0',
      'E2.ids-of-other-topics-do-not-count': 'both topics get all',
      'E2.copies-have-their-own-send-id': 'all are redriven',
    },
    spares: ['P4.headers', 'P1.confirmed-is-delivered'],
  },
  {
    id: 'claims-dedup',
    title: 'It says that the broker knows repeated sends, and stores each of them.',
    target: 'memory-emulated',
    wrap: (adapter) =>
      claiming(adapter, ({ publish }) => ({ publish: { ...publish, dedup: { by: 'native', window: 60_000 } } })),
    caughtBy: {
      'P2.unknown-sends-are-repeated': 'duplicated: ',
      'E2.one-of-two-inside-the-window': 'duplicated: ',
      'E2.unknown-send-is-stored-once': 'duplicated: ',
      'E2.window-survives-a-restart': 'duplicated: ',
    },
    spares,
  },
];

function answering(
  adapter: Parameters<Saboteur['wrap']>[0],
  change: (all: readonly SendOutcome[]) => readonly SendOutcome[],
): ReturnType<Saboteur['wrap']> {
  return publishing(adapter, async (messages, send) => change(await send(messages)));
}

function zip<A, B>(as: readonly A[], bs: readonly B[]): [A, B][] {
  return as.slice(0, bs.length).map((a, index) => [a, bs[index] as B]);
}
