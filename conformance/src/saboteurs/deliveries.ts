import type { Adapter, Delivery, StartPosition } from '@waybill/core/adapter';
import { overlay, publishing, receiving, respecifying, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'P5.verify-refuses-a-missing-topic'];

/** Those that hand out what they should not, or not so. */
export const DELIVERIES: readonly Saboteur[] = [
  {
    id: 'leaks-to-another-topic',
    title: 'One in twenty messages is stored in another topic of the connection, too.',
    wrap: (adapter, random) => {
      const topics = new Map<string, Parameters<typeof adapter.publish>[0]>();
      return publishing(adapter, async (messages, send, destination) => {
        const all = await send(messages);
        if (destination.kind !== 'topic' || destination.ordered) return all;
        topics.set(destination.name, destination);
        const other = [...topics.values()].find(({ name }) => name !== destination.name);
        const some = messages.filter(() => random.chance(0.05));
        if (other !== undefined && some.length > 0)
          await send(
            some.map((message) => ({ ...message, sendId: `${message.sendId}-leaked` })),
            other,
          );
        return all;
      });
    },
    caughtBy: { 'D1.twenty-topics': 'unexpected: ', 'D2.one-group-name-on-two-topics': 'messages of each' },
    spares,
  },
  {
    id: 'ignores-prefixes',
    title: 'A prefix in front of a topic is left out.',
    wrap: (adapter) =>
      respecifying(
        publishing(adapter, (messages, send, destination) =>
          send(messages, { ...destination, name: unprefixed(destination.name), topic: unprefixed(destination.topic) }),
        ),
        ({ destination }) => ({
          destination: { ...destination, name: unprefixed(destination.name), topic: unprefixed(destination.topic) },
        }),
      ),
    caughtBy: { 'D2.prefixes-are-apart': 'each has its messages' },
    spares: ['P4.headers', 'D2.subscribing-twice'],
  },
  {
    id: 'every-consumer-gets-all',
    title: 'Each consumer of a group is a group of its own.',
    wrap: (adapter) => respecifying(adapter, ({ group, consumer }) => ({ groupAddress: `${group}-${consumer}` })),
    caughtBy: {
      'D2.subscribing-twice': 'handler runs of both together',
      'D7.address': 'it goes on where the old one was',
      'D3.partitions-are-spread': 'overlapped: ',
    },
    spares,
  },
  {
    id: 'groups-share',
    title: 'All groups of a topic are one at the broker.',
    wrap: (adapter) => respecifying(adapter, () => ({ groupAddress: 'all' })),
    caughtBy: { 'D2.each-group-gets-all': 'both groups have all' },
    spares: ['P4.keys', 'P5.verify-refuses-a-missing-topic'],
  },
  {
    id: 'gives-one-delivery-twice',
    title: 'One in ten deliveries is handed out twice.',
    wrap: (adapter, random) =>
      receiving(adapter, (all) => all.flatMap((one) => (random.chance(0.1) ? [one, { ...one }] : [one]))),
    caughtBy: {
      'D1.before-and-after-subscribe': 'duplicated: ',
      'D4.settled-before-the-handler': 'duplicated: ',
      'D4.settled-before-the-handler-ordered': 'duplicated: ',
    },
    spares: ['P5.verify-refuses-a-missing-topic', 'P5.too-large'],
  },
  {
    id: 'reorders-a-receive',
    title: 'What one receive brings is in any order.',
    wrap: (adapter, random) => receiving(adapter, (all) => random.shuffle(all)),
    caughtBy: {
      'O1.hot-key-in-shared-partition': 'reordered: ',
      'O2.hold-key-on-retry': 'reordered: ',
      'P3.order-across-refusals': 'reordered: ',
    },
    spares: ['P1.confirmed-is-delivered', 'P4.headers'],
  },
  {
    id: 'forgets-a-delivery',
    title: 'One in five deliveries is read from the broker and not handed out.',
    wrap: (adapter, random) => receiving(adapter, (all) => all.filter(() => !random.chance(0.2))),
    caughtBy: {
      'P1.confirmed-is-delivered': 'lost: ',
    },
    spares: ['O6.ordered-and-requeue', 'F1.bad-limits-are-refused'],
  },
  {
    id: 'starts-at-the-end',
    title: 'Whatever start is asked for, a new group begins with what is published next.',
    wrap: (adapter) => starting(adapter, () => 'latest'),
    caughtBy: {
      'D7.earliest': 'what is due is delivered',
      'D7.position': 'the second half is delivered',
      'D1.topic-without-a-group': 'lost: ',
    },
    spares: ['P4.headers', 'D7.latest'],
  },
  {
    id: 'starts-at-the-beginning',
    title: 'A group that asks for the latest gets what was published before, too.',
    wrap: (adapter) => starting(adapter, (start) => (start === 'latest' ? 'earliest' : start)),
    caughtBy: {
      'D7.latest': 'handler runs, and those with messages from before',
      'D7.no-hole-under-flow': 'began in the middle',
      'D7.latest-from-the-provision': 'messages from before the provision',
    },
    spares: ['P4.headers', 'D7.position'],
  },
  {
    id: 'replay-never-ends',
    title: 'A replay goes on with what is published while it runs.',
    wrap: (adapter) =>
      subscribing(adapter, (_, { bounded }) =>
        bounded
          ? {
              get ended() {
                return false;
              },
            }
          : {},
      ),
    caughtBy: { 'D8.end-fixed-at-the-start': 'ends under flow' },
    spares: ['P4.headers', 'D7.position'],
  },
  {
    id: 'replay-misses',
    title: 'A replay leaves one message in twenty out.',
    wrap: (adapter, random) =>
      subscribing(adapter, (inner, { bounded }) =>
        bounded
          ? {
              receive: async (...args) => {
                const all = await inner.receive(...args);
                const missed = all.filter(() => random.chance(0.05));
                if (missed.length > 0) await inner.ack(missed.map(({ receipt }) => receipt));
                return all.filter((one) => !missed.includes(one));
              },
            }
          : {},
      ),
    caughtBy: { 'D8.leaves-others-alone': 'numbers replayed' },
    spares: ['P4.headers', 'D7.position'],
  },
  {
    id: 'trusts-strangers',
    title: 'What a program without Waybill writes into control headers is taken for its own.',
    wrap: (adapter) =>
      receiving(adapter, (all) => all.map((one) => (one.control === null ? one : { ...one, origin: 'inbox' }))),
    caughtBy: { 'P4.foreign-message': 'header and attempt' },
    spares: ['P4.headers', 'D7.position'],
  },
  {
    id: 'forges-attempts',
    title: 'One in ten first deliveries says that it is the second attempt.',
    wrap: (adapter, random) =>
      receiving(adapter, (all) =>
        all.map((one): Delivery => (random.chance(0.1) ? { ...one, storedAttempt: 2 } : one)),
      ),
    caughtBy: { 'D3.never-two-at-once': 'attempts: ', 'R3.drains': 'attempts' },
    spares,
  },
];

/** Groups begin elsewhere, whoever makes them. A replay begins where it is told. */
function starting(adapter: Adapter, change: (start: StartPosition) => StartPosition): Adapter {
  const provisioning = overlay(adapter, {
    provision: (spec, signal) =>
      adapter.provision(
        { ...spec, groups: spec.groups.map((group) => ({ ...group, start: change(group.start) })) },
        signal,
      ),
  });
  return respecifying(provisioning, ({ bounded, start }) => (bounded ? {} : { start: change(start) }));
}

function unprefixed(name: string): string {
  return name.split('___').at(-1) ?? name;
}
