import { fixed, type BusEventName } from '@waybill/core';
import type { OutgoingMessage, SendOutcome } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { guard } from '../../checkers/index.ts';
import { tampered, tamperedSubscriptions } from '../flow/tampered.ts';
import { type Marker, marker } from './marker.ts';

/** Every event; the compiler says when one is missing. */
const events: Readonly<Record<BusEventName, true>> = {
  connected: true,
  disconnected: true,
  reconnecting: true,
  subscribed: true,
  resubscribing: true,
  assigned: true,
  revoked: true,
  'lease-lost': true,
  retry: true,
  'dead-lettered': true,
  'copy-failed': true,
  dropped: true,
  expired: true,
  'forged-headers': true,
  'held-back': true,
  stopped: true,
  'publish-blocked': true,
  'publish-resumed': true,
  'publish-failed': true,
  drained: true,
  closed: true,
  error: true,
};

/** As clients throw them: with the command, the request and the URL, credentials and all. */
function telling({ secret, encoded }: Marker): Error {
  const cause = Object.assign(new Error(`password=${encoded} refused`), { args: ['AUTH', 'user', secret] });
  return Object.assign(
    new Error(`connect to amqp://user:${encoded}@broker:5672 failed, token: ${encoded}`, { cause }),
    {
      command: { name: 'auth', args: ['user', secret] },
      config: { headers: { authorization: `Bearer ${secret}` }, auth: { password: secret } },
      options: { password: secret },
    },
  );
}

export const runtimeSecrets: readonly ConformanceCase[] = [
  {
    id: 'L5.no-secret-at-run-time',
    guarantees: ['L5', 'R5'],
    title:
      'What a client throws at run time reaches errors, events, logs, health and dead letters without its credentials.',
    cost: 'slow',
    run: async (t: CaseContext) => {
      const mark = marker(t.run);
      const orders = t.topic('orders');
      const group = t.group('inventory');
      const seen: unknown[] = [];
      const dead: OutgoingMessage[] = [];
      let refuse = false;
      let breaks = 0;
      t.allowLog(/./); // the failed acks are `error` events, searched like the others
      const bus = await t.connect({
        topics: [orders],
        config: { publish: { timeout: '600ms' }, reconnect: { max: '100ms' } },
        log: (...line) => seen.push(line),
        wrap: (adapter) => {
          const publishing = tampered(adapter, {
            publish: async (destination, messages, signal): Promise<readonly SendOutcome[]> => {
              if (destination.kind === 'dead-letter') dead.push(...messages);
              if (refuse) return messages.map(() => ({ status: 'rejected', error: telling(mark) }));
              return adapter.publish(destination, messages, signal);
            },
          });
          return tamperedSubscriptions(publishing, (inner) => ({
            ack: async (receipts) => {
              if (breaks === 0) return inner.ack(receipts);
              breaks -= 1;
              throw telling(mark);
            },
          }));
        },
      });
      for (const name of Object.keys(events) as BusEventName[]) bus.on(name, (event) => seen.push({ name, event }));
      const retry = { attempts: 2, backoff: fixed(20) };
      const consumer = await t.consume(bus, orders, { group, retry }, ({ payload }) => {
        if (payload.seq % 2 === 0) throw telling(mark);
      });
      // A handler that throws it, to the dead letter.
      await t.load(bus, orders, { each: 6 });
      await t.until(() => dead.length >= 3, 'some are dead-lettered');
      // A publish that is refused with it.
      refuse = true;
      const outcome = await t.within(t.publish(bus, orders, null, { seq: 101 }), 'the refused publish ends', 15_000);
      refuse = false;
      t.equal(outcome.status, 'rejected', 'the outcome of the refused publish');
      if (outcome.status !== 'confirmed') mark.search(t, 'the PublishError', outcome.error);
      // An ack that fails with it, so that the subscription is opened again.
      const before = consumer.distinct;
      breaks = 1;
      await t.publish(bus, orders, null, { seq: 103 });
      await t.until(() => breaks === 0 && consumer.subscription.status === 'subscribed', 'a failed ack is got over');
      await t.publish(bus, orders, null, { seq: 105 });
      await t.until(() => consumer.distinct >= before + 2, 'messages flow again');
      mark.search(t, 'health', bus.health());
      mark.search(t, 'doctor', bus.describe());
      if (t.supports.browse.by !== 'refused') mark.search(t, 'the dead letters', await bus.dlq(orders, group).list());
      await bus.close();
      const names = new Set(seen.flatMap((one) => (one as { name?: string }).name ?? []));
      for (const name of ['retry', 'dead-lettered', 'publish-failed', 'error'])
        t.ok(names.has(name), `the event '${name}' was seen`);
      mark.search(t, 'events and log lines', seen);
      mark.search(
        t,
        'dead-letter records',
        dead.map(({ headers, control, id }) => ({ headers, control, id })),
      );
      mark.search(t, 'the history', t.history.events);
      return t.judge(guard({ confirmed: 8, threw: 6 }));
    },
  },
];
