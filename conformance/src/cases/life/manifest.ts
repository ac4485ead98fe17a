import { CAPABILITIES, capability, type Adapter, type Supports } from '@waybill/core/adapter';
import type { AdapterSubscription } from '@waybill/core/adapter';
import type { CaseContext } from '../../case-context.ts';
import type { ConformanceCase } from '../../case.ts';
import { tampered } from '../flow/tampered.ts';

/** The adapter itself, as `connect` got it. */
async function withAdapter(t: CaseContext, use: (adapter: Adapter, before: string) => Promise<void>): Promise<void> {
  let adapter: Adapter | null = null;
  let before = '';
  const bus = await t.connect({
    wrap: (inner) => {
      adapter = inner;
      before = JSON.stringify(inner.supports);
      return inner;
    },
  });
  await use(adapter ?? t.fail('no adapter'), before);
  await bus.close();
}

interface Leaf {
  readonly path: string;
  readonly value: unknown;
}

function leaves(value: unknown, path = ''): Leaf[] {
  if (typeof value !== 'object' || value === null) return [{ path, value }];
  return Object.entries(value).flatMap(([name, inner]) => leaves(inner, path === '' ? name : `${path}.${name}`));
}

function frozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(frozen);
}

const texts: Readonly<Record<string, readonly string[]>> = {
  by: ['native', 'emulated', 'refused'],
  'publish.durability': ['memory', 'process', 'disk', 'replicated'],
  'publish.unrouted': ['kept', 'rejected'],
  'order.key.partitions': ['broker', 'counted', 'none'],
  'settle.mode': ['individual', 'cumulative'],
  'settle.repeats': ['never', 'rare'],
  'receive.credit': ['subscription', 'partition'],
};

function judgeShape(t: CaseContext, supports: Supports): void {
  t.equal(supports.format, 1, 'the format');
  for (const path of CAPABILITIES)
    t.ok(texts['by']?.includes(capability(supports, path).by), `${path}.by is native, emulated or refused`);
  for (const { path, value } of leaves(supports)) {
    const name = path.split('.').at(-1) ?? '';
    const allowed = texts[path] ?? texts[name];
    if (allowed !== undefined)
      t.ok(allowed.includes(String(value)), `${path} is ${String(value)}; allowed: ${allowed.join(', ')}`);
    else if (typeof value === 'number')
      t.ok(Number.isFinite(value) && value >= 0, `${path} is ${value}; allowed: 0 or more`);
    else t.ok(value === null || typeof value === 'boolean' || path === 'adapter', `${path} is ${String(value)}`);
  }
  const { publish, receive, order, deliver } = supports;
  t.ok(
    publish.batch.messages >= 1 && publish.batch.bytes >= 1 && publish.inFlight >= 1,
    'a publish call takes something',
  );
  t.ok(publish.size.text >= 1 && publish.size.binary >= 1, 'a message may have a body');
  t.ok(receive.batch >= 1, 'a receive brings something');
  t.ok(deliver.redelivery.by === 'refused' || deliver.redelivery.bound > 0, 'redelivery has a bound');
  t.equal(
    order.key.partitions === 'none',
    order.key.by === 'refused',
    'partitions are none exactly where order is refused',
  );
}

export const manifest: readonly ConformanceCase[] = [
  {
    id: 'L5.manifest-is-fixed',
    guarantees: ['L5'],
    title: 'The manifest is frozen, safe as JSON, and the same before connect, while connected and after close.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const seen: { adapter: Adapter; before: string }[] = [];
      await withAdapter(t, async (adapter, before) => {
        seen.push({ adapter, before });
        const { supports } = adapter;
        t.equal(JSON.stringify(supports), before, 'the manifest while connected');
        t.equal(JSON.parse(before) as unknown, supports, 'the manifest through JSON');
        t.ok(frozen(supports), 'it is frozen to its leaves');
        t.ok(adapter.supports === supports, 'it is one object');
        t.equal(JSON.stringify(t.supports), before, 'the manifest that the harness shows');
        await Promise.resolve();
      });
      t.equal(seen.length, 1, 'adapters seen');
      for (const { adapter, before } of seen)
        t.equal(JSON.stringify(adapter.supports), before, 'the manifest after close');
    },
  },
  {
    id: 'L5.manifest-is-complete',
    guarantees: ['L5'],
    title: 'The manifest has every field, each with a value that means something.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      judgeShape(t, t.supports);
      const bus = await t.connect();
      const { brokers } = bus.describe();
      t.equal(brokers['main']?.supports, t.supports, 'the manifest that doctor shows');
      t.equal(brokers['main']?.adapter, t.supports.adapter, "the adapter's name and its manifest's");
      t.ok(JSON.stringify(brokers['main']?.facts) !== undefined, 'facts are safe as JSON');
    },
  },
  {
    id: 'L5.manifest-tells-the-methods',
    guarantees: ['L5'],
    title: 'An adapter has the optional methods that its manifest claims as its own.',
    cost: 'quick',
    run: async (t: CaseContext) => {
      const orders = t.topic('orders');
      let adapter: Adapter | null = null;
      let subscription: AdapterSubscription | null = null;
      const bus = await t.connect({
        wrap: (inner) => {
          adapter = inner;
          return tampered(inner, {
            subscribe: async (spec, signal) => (subscription = await inner.subscribe(spec, signal)),
          });
        },
      });
      await t.consume(bus, orders, { group: t.group('inventory') });
      const { lag, reset, seek, settle, lease } = t.supports;
      const has = (object: unknown, method: string): boolean =>
        typeof (object as Record<string, unknown> | null)?.[method] === 'function';
      t.equal(has(adapter, 'lag'), lag.by !== 'refused', 'lag');
      t.equal(has(adapter, 'reset'), reset.by !== 'refused', 'reset');
      if (t.supports.browse.by !== 'refused') t.ok(has(adapter, 'browse'), 'browse');
      if (seek.by === 'native') t.ok(has(subscription, 'seek'), 'seek');
      if (settle.nack.by === 'native') t.ok(has(subscription, 'nack'), 'nack');
      if (settle.nack.by === 'refused') t.ok(!has(subscription, 'nack'), 'no nack');
      if (lease.by === 'native') t.ok(has(subscription, 'extend'), 'extend');
      for (const method of ['connect', 'publish', 'subscribe', 'provision', 'classify', 'close'])
        t.ok(has(adapter, method), method);
      for (const method of ['receive', 'ack', 'close']) t.ok(has(subscription, method), method);
    },
  },
];
