import { setTimeout as sleep } from 'node:timers/promises';
import type { Headers } from '@waybill/core/adapter';
import { altering, claiming, never, overlay, publishing } from './overlay.ts';
import type { Saboteur } from './saboteur.ts';

const spares = ['O1.next-waits-for-settled', 'P5.provisioning-twice'];

/** Those that change what a message carries. */
export const CONTENTS: readonly Saboteur[] = [
  {
    id: 'body-as-text',
    title: 'Bodies are sent as text, which ruins what is not UTF-8.',
    wrap: (adapter) =>
      altering(adapter, 'topic', (message) => ({
        ...message,
        body: Buffer.from(Buffer.from(message.body).toString()),
      })),
    caughtBy: { 'P4.bodies': 'content: ', 'R5.record': 'body' },
    spares,
  },
  {
    id: 'truncates',
    title: 'Of a body above 64 KiB only the beginning is stored.',
    wrap: (adapter) =>
      altering(adapter, 'any', (message) => ({ ...message, body: message.body.subarray(0, 64 * 1024) })),
    caughtBy: { 'P4.largest-body': 'content: ' },
    spares,
  },
  {
    id: 'claims-larger-bodies',
    title: 'It says that bodies may be twice as large as the broker takes.',
    wrap: (adapter) =>
      claiming(adapter, ({ publish }) => ({
        publish: { ...publish, size: { text: 2 * publish.size.text, binary: 2 * publish.size.binary } },
      })),
    caughtBy: { 'P4.largest-body': 'allowed: up to' },
    spares,
  },
  {
    id: 'drops-empty-headers',
    title: 'Headers without a value are left out.',
    wrap: (adapter) =>
      altering(adapter, 'any', (message) => ({
        ...message,
        headers: headers(Object.entries(message.headers).filter(([, value]) => value.length > 0)),
      })),
    caughtBy: { 'P4.headers': 'header names' },
    spares,
  },
  {
    id: 'folds-header-names',
    title: 'Header names are written in lower case.',
    wrap: (adapter) =>
      altering(adapter, 'any', (message) => ({
        ...message,
        headers: headers(Object.entries(message.headers).map(([name, value]) => [name.toLowerCase(), value])),
      })),
    caughtBy: { 'P4.headers': 'header names' },
    spares,
  },
  {
    id: 'loses-empty-keys',
    title: 'An empty key arrives as none.',
    wrap: (adapter) =>
      altering(adapter, 'any', (message) => ({ ...message, key: message.key === '' ? null : message.key })),
    caughtBy: { 'P4.keys': 'key 16', 'P4.ordering-keys': 'keys: ' },
    spares,
  },
  {
    id: 'rewrites-time',
    title: "A message's time is replaced by that of its storing.",
    wrap: (adapter) => altering(adapter, 'any', (message) => ({ ...message, time: Date.now() })),
    caughtBy: { 'P4.id-time-type-source': 'fields of a', 'R5.record': 'time' },
    spares,
  },
  {
    id: 'loses-source',
    title: 'The source of a message is not stored.',
    wrap: (adapter) => altering(adapter, 'any', (message) => ({ ...message, source: null })),
    caughtBy: { 'P4.id-time-type-source': 'fields of a' },
    spares,
  },
  {
    id: 'loses-content-type',
    title: 'The content type of a message is not stored.',
    wrap: (adapter) => altering(adapter, 'any', (message) => ({ ...message, contentType: null })),
    caughtBy: { 'P4.codecs': 'all are delivered' },
    spares,
  },
  {
    id: 'keeps-the-buffer',
    title: 'A body is read again after its publish has ended.',
    wrap: (adapter) =>
      overlay(adapter, {
        publish: async (destination, messages, signal) => {
          signal.throwIfAborted();
          void sleep(30)
            .then(() => adapter.publish(destination, messages, never()))
            .catch(() => undefined);
          return messages.map(() => ({ status: 'confirmed', position: null }));
        },
      }),
    caughtBy: { 'P4.a-reused-buffer': 'content: ' },
    spares: ['P4.headers'],
  },
  {
    id: 'drops-expiry',
    title: 'The time at which a message expires is not stored.',
    wrap: (adapter) =>
      altering(adapter, 'any', (message) => {
        if (message.control?.expires === undefined) return message;
        const { expires: _, ...control } = message.control;
        return { ...message, control };
      }),
    caughtBy: {
      'D10.expired-while-it-waited-drop': 'expired messages counted',
      'D10.expired-while-it-waited-dead-letter': 'expired messages counted',
      'D10.behind-a-busy-handler': 'expired messages counted',
      'D10.the-key-goes-on': 'expired messages counted',
    },
    spares,
  },
  {
    id: 'drops-the-attempt-of-copies',
    target: 'memory-emulated',
    title: 'The copy of a message that is tried again later does not say which attempt it is.',
    wrap: (adapter) =>
      altering(adapter, 'inbox', (message) => {
        const { attempt: _, ...control } = message.control ?? {};
        return { ...message, control };
      }),
    caughtBy: {
      'R1.requeued-attempts': 'the first message is handled in the end',
      'D2.retries-stay-in-their-group-requeue': '20 are dead-lettered',
    },
    spares,
  },
  {
    id: 'copies-to-every-group',
    target: 'memory-emulated',
    title: 'The copy of a message that one group tries again later goes to the topic, and so to all groups.',
    wrap: (adapter) =>
      publishing(adapter, (messages, send, destination) =>
        destination.kind === 'inbox'
          ? send(messages, { ...destination, kind: 'topic', name: destination.topic, group: null })
          : send(messages),
      ),
    caughtBy: { 'D2.retries-stay-in-their-group-requeue': '20 are dead-lettered' },
    spares,
  },
];

function headers(entries: readonly (readonly [string, Headers[string]])[]): Headers {
  return Object.assign(Object.create(null) as object, Object.fromEntries(entries));
}
