import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery } from '@waybill/core/adapter';
import { claiming, confirmed, never, overlay, publishing, subscribing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['P4.headers', 'R1.no-further-attempt'];

/** Those that read too much, too little, or not at all. */
export const FLOWS: readonly Saboteur[] = [
  {
    id: 'gives-more-than-asked',
    patience: 0.7,
    title: 'A receive brings up to ten deliveries more than were asked for.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({ receive: (max, signal, skip) => inner.receive(max + 10, signal, skip) })),
    caughtBy: { 'D9.an-empty-receive-answers': 'more than was asked for' },
    spares,
  },
  {
    id: 'reads-ahead',
    title: 'Deliveries beyond the prefetch are read and kept in the client.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => {
        const ahead: Delivery[] = [];
        return {
          receive: async (max, signal, skip) => {
            if (ahead.length < max) ahead.push(...(await inner.receive(max + 20, signal, skip)));
            return ahead.splice(0, max);
          },
        };
      }),
    caughtBy: { 'F1.broker-sees-bounded-in-flight': 'in flight' },
    spares,
  },
  {
    id: 'hides-reserved',
    title: 'A poll under way says that it may bring nothing.',
    wrap: (adapter) =>
      subscribing(adapter, () => ({
        get reserved() {
          return 0;
        },
      })),
    caughtBy: { 'F4.poll-under-way-brings-to-a-pause': 'a poll is under way' },
    spares,
  },
  {
    id: 'abandons-polls',
    title: 'A poll that is called back goes on, and what it brings is left lying.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        receive: (max, signal, skip) =>
          new Promise((resolve, reject) => {
            signal.addEventListener('abort', () => resolve([]));
            inner.receive(max, never(), skip).then(resolve, reject);
          }),
      })),
    caughtBy: { 'F4.thousand-pauses-leak-nothing': 'all come' },
    spares,
  },
  {
    id: 'one-poll-at-a-time',
    title: 'All subscriptions of a connection share one lock for their receives.',
    wrap: (adapter) => {
      let last: Promise<unknown> = Promise.resolve();
      return subscribing(adapter, (inner) => ({
        receive: (...args) => {
          const mine = last.then(() => inner.receive(...args));
          last = mine.catch(() => undefined);
          return mine;
        },
      }));
    },
    caughtBy: { 'F3.stuck-neighbour-does-not-slow': 'the stuck one goes on' },
    spares: ['P5.verify-refuses-a-missing-topic'],
  },
  {
    id: 'polls-for-long',
    patience: 0.7,
    title: 'A receive that brings nothing answers after a minute.',
    wrap: (adapter) =>
      subscribing(adapter, (inner) => ({
        receive: async (max, signal, skip) => {
          const began = performance.now();
          for (;;) {
            const all = await inner.receive(max, signal, skip);
            if (all.length > 0 || signal.aborted || performance.now() - began > 60_000) return all;
          }
        },
      })),
    caughtBy: { 'D9.an-empty-receive-answers': 'three receives answer with nothing' },
    spares,
  },
  {
    id: 'skips-nothing',
    title: 'Partitions that are to be left out are read all the same.',
    wrap: (adapter) => subscribing(adapter, (inner) => ({ receive: (max, signal) => inner.receive(max, signal) })),
    caughtBy: { 'O4.held-back-is-reported': 'the other partitions go on' },
    spares,
  },
  {
    id: 'no-lag',
    title: 'The lag is always 0.',
    wrap: (adapter) => overlay(adapter, { lag: async () => ({ count: 0, age: null, exact: true }) }),
    caughtBy: {
      'F5.falls-by-settling': 'the lag is 20 after',
      'F5.per-group': 'of the idle group',
      'F5.survives-the-consumer': 'after the consumer was closed',
    },
    spares,
  },
  {
    id: 'lag-without-what-is-held',
    title: 'What is delivered and not settled does not count as lag.',
    wrap: (adapter) => {
      let held = 0;
      const counted = subscribing(adapter, (inner) => ({
        receive: async (...args) => {
          const all = await inner.receive(...args);
          held += all.length;
          return all;
        },
        ack: (receipts) => {
          held -= receipts.length;
          return inner.ack(receipts);
        },
      }));
      return overlay(counted, {
        lag: async (...place) => {
          const lag = await adapter.lag?.(...place);
          return { age: null, exact: true, ...lag, count: Math.max(0, (lag?.count ?? 0) - held) };
        },
      });
    },
    caughtBy: { 'F5.falls-by-settling': 'delivered and none settled' },
    spares,
  },
  {
    id: 'lag-of-the-youngest',
    title: 'The age in a lag is that of the youngest message.',
    wrap: (adapter) =>
      overlay(adapter, {
        lag: async (...place) => {
          const lag = (await adapter.lag?.(...place)) ?? { count: 0, age: null, exact: true };
          return { ...lag, age: lag.age === null ? null : 0 };
        },
      }),
    caughtBy: { 'F5.age-of-the-oldest': 'the age is 0 ms' },
    spares,
  },
  {
    id: 'loses-lag-of-the-missing',
    title: 'A group that does not exist has a lag of 0.',
    wrap: (adapter) =>
      overlay(adapter, {
        lag: async (...place) =>
          (await adapter.lag?.(...place).catch(() => undefined)) ?? { count: 0, age: null, exact: true },
      }),
    caughtBy: { 'F5.per-group': 'succeeded with' },
    spares,
  },
  {
    id: 'confirms-throttled',
    title: 'A full broker is hidden from the publisher: sends wait in the adapter without a bound.',
    wrap: (adapter) =>
      overlay(adapter, {
        publish: async (destination, messages, signal) => {
          for (;;) {
            const outcomes = await adapter.publish(destination, messages, signal);
            const passing = outcomes.some(
              (one) => one.status === 'rejected' && adapter.classify(one.error) === 'unavailable',
            );
            if (!passing) return outcomes;
            await sleep(5);
          }
        },
      }),
    caughtBy: { 'F6.refusing-broker-recovers': 'the broker refused some' },
    spares,
  },
  {
    id: 'claims-larger-batches',
    title: 'It says that a batch may have any number of messages, and loses what is beyond its limit.',
    wrap: (adapter) => {
      const { messages: most } = adapter.supports.publish.batch;
      const losing = publishing(adapter, async (messages, send) => {
        const outcomes = await send(messages.slice(0, most));
        return messages.map((_, index) => outcomes[index] ?? confirmed);
      });
      return claiming(losing, ({ publish }) => ({
        publish: { ...publish, batch: { ...publish.batch, messages: 8 * most } },
      }));
    },
    caughtBy: {
      'P2.batches-within-the-maximum': 'lost: ',
    },
    spares,
  },
];
