import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { at, Bench, inbox, keyed, message, receipts, signal, text, texts, topic } from './support.ts';

test('a message arrives as it was published', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const headers = Object.assign(Object.create(null), { ['__proto__']: 'odd', bytes: Buffer.from([0, 255]) }) as Record<
    string,
    string
  >;
  const control = { expires: 5, attempt: 3, dead: { topic: 't' } };
  const sent = message('héllo', { key: 'k', type: 'created', source: 'me', headers, control });
  const [outcome] = await adapter.publish(orders, [sent], signal);
  const got = at(await bench.take(g), 0);
  expect(got).toMatchObject({
    id: sent.id,
    time: sent.time,
    key: 'k',
    type: 'created',
    source: 'me',
    contentType: 'text/plain',
  });
  expect(got.headers).toEqual(headers);
  expect(got.control).toEqual(control);
  expect(text(got)).toBe('héllo');
  expect(outcome).toEqual({ status: 'confirmed', position: got.position });
  expect({ ...got }.position).toEqual({ 0: '0' }); // own fields: a delivery survives being spread
});

test('a publisher may reuse its buffer', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  const small = Buffer.from('small');
  const large = Buffer.alloc(100_000, 'L');
  await adapter.publish(orders, [message('', { body: small }), message('', { body: large }), message('')], signal);
  small.fill('x');
  large.fill('x');
  expect(texts(await bench.take(g))).toEqual(['small', 'L'.repeat(100_000), '']);
});

test('a repeated sendId inside the window is confirmed where it was, and stored once', async () => {
  const bench = new Bench({ dedup: { window: 60_000 } });
  const { adapter, orders, g } = await bench.one(12);
  const once = keyed('once', 'k', 12);
  const [first] = await adapter.publish(orders, [once], signal);
  await bench.clock.pass(59_000);
  const [again, other] = await adapter.publish(orders, [once, { ...once, sendId: 'redrive' }], signal);
  expect(again).toEqual(first);
  expect(other?.status).toBe('confirmed');
  const held = await bench.take(g);
  expect(texts(held)).toEqual(['once', 'once']);
  await g.ack(receipts(held));
  await bench.clock.pass(121_000);
  await adapter.publish(orders, [once], signal);
  expect(texts(await bench.take(g))).toEqual(['once']);
});

test('dedup tells every pair of ids apart, and remembers at least what its limit says', async () => {
  const bench = new Bench({ dedup: { messages: 2_000 }, retain: { messages: 0 } });
  const { adapter, orders } = await bench.one();
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.string({ unit: 'binary' }), { maxLength: 1_000 }), async (ids) => {
      const run = `${Math.random()}`;
      const batch = ids.map((id) => message('', { id: run + id }));
      const first = await adapter.publish(orders, batch, signal);
      expect(new Set(first.map((outcome) => JSON.stringify(outcome))).size).toBe(ids.length);
      expect(await adapter.publish(orders, batch, signal)).toEqual(first);
    }),
    { numRuns: 50 },
  );
});

test('what is too large, misplaced or unknown is rejected, alone', async () => {
  const bench = new Bench({ maxBodyBytes: 10 });
  const { adapter, orders, g } = await bench.one(3);
  const outcomes = await adapter.publish(
    orders,
    [
      keyed('x'.repeat(10), 'a', 3),
      keyed('x'.repeat(11), 'b', 3),
      message('', { key: 'c', partition: 3 }),
      keyed('', 'd', 3),
    ],
    signal,
  );
  expect(outcomes.map((one) => (one.status === 'rejected' ? adapter.classify(one.error) : one.status))).toEqual([
    'confirmed',
    'too-large',
    'invalid',
    'confirmed',
  ]);
  expect(await bench.take(g)).toHaveLength(2);
  const missing = adapter.publish(topic('missing'), [message('')], signal);
  await expect(missing).rejects.toSatisfy((error) => adapter.classify(error) === 'not-found');
});

test('over the byte limit what is settled goes first, then publishes are throttled until something is settled', async () => {
  const bench = new Bench({ maxBytes: 10_000 });
  const { adapter, orders, g } = await bench.one();
  const statuses = async (...names: string[]): Promise<string[]> => {
    const outcomes = await adapter.publish(
      orders,
      names.map((id) => message('', { id, body: Buffer.alloc(2_000) })),
      signal,
    );
    return outcomes.map((one) => (one.status === 'rejected' ? adapter.classify(one.error) : one.status));
  };
  expect(await statuses('a', 'b', 'c', 'd', 'e')).toEqual([...Array(4).fill('confirmed'), 'throttled']);
  const held = await bench.take(g);
  expect(await statuses('e')).toEqual(['throttled']);
  await g.ack(receipts(held.slice(0, 1)));
  expect(await statuses('e', 'f')).toEqual(['confirmed', 'throttled']);
  expect(bench.broker.bytes).toBeLessThanOrEqual(10_000);
});

test('behind a message of its key that is not confirmed, none is sent (P3)', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one(1);
  bench.broker.faults.rejectPublish({ next: 1 }, 'throttled');
  const batch = [keyed('a1', 'a', 1), keyed('a2', 'a', 1), keyed('b1', 'b', 1), keyed('a3', 'a', 1)];
  const outcomes = await adapter.publish(orders, batch, signal);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'skipped', 'confirmed', 'skipped']);
  expect(texts(await bench.take(g))).toEqual(['b1']);
});

test('a delayed message comes when it is due, not before, and others pass it', async () => {
  const bench = new Bench();
  const { adapter, orders, g } = await bench.one();
  await adapter.publish(orders, [message('late', { delay: 5_000 }), message('now')], signal);
  expect(await adapter.lag?.(orders, 'g', null)).toMatchObject({ count: 2 });
  expect(texts(await bench.take(g))).toEqual(['now']);
  await bench.clock.pass(4_990);
  const receiving = g.receive(10, signal);
  await bench.clock.pass(9);
  expect(g.reserved).toBe(10);
  await bench.clock.pass(1);
  expect(texts(await receiving)).toEqual(['late']);
  expect(g.reserved).toBe(0);
});

test('the delay of an inbox is requeue, that of a topic is delayed publish: each can be hidden alone', async () => {
  const bench = new Bench();
  const { orders } = await bench.one();
  const statuses = async (hide: 'delay' | 'requeue'): Promise<string[]> => {
    const adapter = await bench.adapter({ hide: [hide] });
    const [a] = await adapter.publish(orders, [message('', { delay: 1 })], signal);
    const [b] = await adapter.publish(inbox(orders, 'g'), [message('', { delay: 1 })], signal);
    return [a, b].map((outcome) => outcome?.status ?? 'none');
  };
  expect(await statuses('delay')).toEqual(['rejected', 'confirmed']);
  expect(await statuses('requeue')).toEqual(['confirmed', 'rejected']);
});

test('a loop of publishes lets the event loop turn', async () => {
  const bench = new Bench();
  const { adapter, orders } = await bench.one();
  let turned = 0;
  let more = true;
  const immediate = (): void => {
    turned++;
    if (more) setImmediate(immediate);
  };
  setImmediate(immediate);
  for (let n = 0; n < 2_560; n++) await adapter.publish(orders, [message('')], signal);
  more = false;
  expect(turned).toBeGreaterThanOrEqual(9);
});
