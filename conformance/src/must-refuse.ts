import type { SubscribeOptions } from '@waybill/core';
import type { CapabilityPath } from '@waybill/core/adapter';
import type { CaseContext } from './case-context.ts';

/** A must-refuse twin: the user asks for what is refused, and gets a typed error before anything is sent. */
export type Twin = (t: CaseContext, path: CapabilityPath) => Promise<void>;

/** The default twins: one for each capability that a user's option asks for. Others have nothing to refuse. */
export const TWINS: { readonly [P in CapabilityPath]?: Twin } = {
  'order.key': async (t) => {
    const orders = t.topic('orders', { ordering: 'key' });
    await refused(t, 'order.key', () => t.connect({ topics: [orders] }));
    // Not only for those who name their topics at connect: publishers and subscriptions ask alike.
    const bus = await t.connect();
    await refused(t, 'order.key', () => bus.publish(orders, { run: t.run, case: t.id, key: 'k', seq: 1 }));
    await refused(t, 'order.key', () => t.consume(bus, orders, { group: t.group('g') }));
    nothingSent(t);
  },
  'publish.delay': async (t) => {
    const orders = t.topic('orders');
    const bus = await t.connect();
    const stamp = { run: t.run, case: t.id, key: null, seq: 1 };
    await refused(t, 'publish.delay', () => bus.publish(orders, stamp, { delay: 100 }));
    nothingSent(t);
  },
  'deliver.atMostOnce': subscribing({ delivery: 'at-most-once' }),
  'deliver.replay': subscribing({ start: 'earliest' }),
  'deliver.filter': subscribing({ filter: { type: 'x' } }),
  'order.parkedKeys': subscribing({ deadLetter: 'key' }),
  transactions: subscribing({ transactional: true }),
  'deliver.retention': async (t) => {
    const orders = t.topic('orders');
    const config = { topics: { [orders.name]: { retention: '1h' as const } } };
    await refused(t, 'deliver.retention', () => t.connect({ topics: [orders], config }));
    nothingSent(t);
  },
  lag: async (t) => {
    const { bus, orders, group } = await standing(t);
    await refused(t, 'lag', () => bus.lag(orders, group));
  },
  reset: async (t) => {
    const { bus, orders, group } = await standing(t);
    await refused(t, 'reset', () => bus.reset(orders, group, 'earliest'));
  },
  seek: async (t) => {
    const { consumer } = await standing(t);
    await refused(t, 'seek', () => consumer.subscription.seek('earliest'));
  },
};

/** The error names the need, in words that its reader can look up. */
async function refused(t: CaseContext, path: CapabilityPath, ask: () => Promise<unknown>): Promise<void> {
  const error = await t.expectError(ask, 'unsupported');
  t.equal(error.message.includes(path), true, `the refusal names ${path}: '${error.message}'`);
}

function nothingSent(t: CaseContext): void {
  t.equal(t.history.of('send', 'provision').length, 0, 'sends and provisions at the broker after a refusal');
}

function subscribing(options: Partial<SubscribeOptions>): Twin {
  return async (t, path) => {
    const orders = t.topic('orders');
    const bus = await t.connect();
    await refused(t, path, () => t.consume(bus, orders, { group: t.group('g'), ...options }));
    nothingSent(t);
  };
}

async function standing(t: CaseContext): Promise<{
  bus: Awaited<ReturnType<CaseContext['connect']>>;
  orders: ReturnType<CaseContext['topic']>;
  group: string;
  consumer: Awaited<ReturnType<CaseContext['consume']>>;
}> {
  const orders = t.topic('orders');
  const group = t.group('g');
  const bus = await t.connect({ topics: [orders] });
  const consumer = await t.consume(bus, orders, { group });
  return { bus, orders, group, consumer };
}
