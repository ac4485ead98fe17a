import { memory, MemoryBroker } from '@waybill/memory';
import { afterEach, expect, test } from 'vitest';
import { type Bus, connect, fixed, topic } from '../src/index.ts';
import type { Supports } from '../src/supports.ts';
import { FakeClock } from './fake-clock.ts';

interface Order {
  readonly n: number;
  readonly key?: string;
}

const orders = topic<Order>('orders', { ordering: 'none' });
const ledger = topic<Order>('ledger', { key: ({ key = '' }) => key });
const results = topic<Order>('results', { ordering: 'none' });

const [timeout, lease] = [100, 1_000];
const base = { group: 'g', timeout, lease, concurrency: 4, retry: { attempts: 3, backoff: fixed(10) } };

/** A handler that hears nothing until it is let go. */
function deafness(): { readonly ends: Promise<void>; end(): void } {
  let end!: () => void;
  const ends = new Promise<void>((resolve) => (end = resolve));
  return { ends, end };
}

let clock = new FakeClock();
let broker = new MemoryBroker({ clock });
let buses: Bus[] = [];

afterEach(async () => {
  const closed = Promise.all(buses.map((bus) => bus.close()));
  await clock.advance(60_000);
  await closed;
  expect(clock.pending, 'timers that are left').toBe(0);
  buses = [];
  clock = new FakeClock();
  broker = new MemoryBroker({ clock });
});

/** As on Kafka: settlement is cumulative, and a lease is the whole consumer's, however long its handlers take. */
async function connected(by: Supports['lease']['by'] = 'emulated'): Promise<Bus> {
  const adapter = memory({ broker, settle: 'cumulative' });
  const supports: Supports = { ...adapter.supports, lease: { ...adapter.supports.lease, by } };
  const topics = { ledger: { partitions: 1 } };
  const made = await connect({ brokers: { main: Object.assign(adapter, { supports }) }, topics }, { clock });
  buses.push(made);
  return made;
}

test('a message is taken from a deaf handler when the lease ends, and given up after its attempts', async () => {
  const main = await connected();
  const runs: number[] = [];
  const deaf = deafness();
  const [lost, letters]: [string[], number[]] = [[], []];
  main.on('lease-lost', ({ id }) => lost.push(id));
  main.on('dead-lettered', ({ attempts }) => letters.push(attempts));
  const subscription = await main.subscribe(orders, base, async ({ payload }, { attempt }) => {
    if (payload.n === 1) runs.push(attempt);
    if (payload.n === 1) await deaf.ends;
  });
  await main.publish(orders, { n: 1 }, { id: 'one' });
  await main.publish(orders, { n: 2 });
  await clock.advance(timeout + lease - 1);
  expect([runs, lost]).toEqual([[1], []]);
  await clock.advance(20);
  expect([runs, lost]).toEqual([[1, 2], ['one']]);
  await clock.advance(3 * (timeout + lease));
  expect([runs, letters]).toEqual([[1, 2, 3], [3]]);
  expect(subscription.running).toBe(3);
  await clock.advance(2_000);
  expect((await main.lag(orders, 'g')).count).toBe(0);
  deaf.end();
  await clock.advance(2_000);
  expect([runs.length, letters.length, subscription.running]).toEqual([3, 1, 0]);
});

test('a handler that ends between its timeout and its lease has failed once, and loses nothing', async () => {
  const main = await connected();
  const runs: number[] = [];
  const deaf = deafness();
  const lost: string[] = [];
  main.on('lease-lost', ({ id }) => lost.push(id));
  const retry = { attempts: 3, backoff: fixed(lease / 2 - 50) };
  await main.subscribe(orders, { ...base, retry }, async (_message, { attempt }) => {
    runs.push(attempt);
    if (attempt === 1) await deaf.ends;
    else await new Promise<void>((end) => clock.setTimer(end, 90)); // while the lease of the first would end
  });
  await main.publish(orders, { n: 1 });
  await clock.advance(timeout + lease / 2);
  deaf.end();
  await clock.advance(3 * (timeout + lease));
  expect([runs, lost]).toEqual([[1, 2], []]);
});

test('the key goes on in order, and the deaf handler may neither settle nor publish', async () => {
  const main = await connected();
  const done: string[] = [];
  const deaf = deafness();
  const said: unknown[] = [];
  await main.subscribe(ledger, base, async ({ payload }, context) => {
    if (payload.n === 1 && context.attempt === 1) {
      await deaf.ends;
      said.push(await context.publish(results, { n: 1 }).catch((error: { code: unknown }) => error.code));
    }
    done.push(`${payload.n} ${context.attempt}`);
  });
  for (const n of [1, 2, 3]) await main.publish(ledger, { n, key: 'k' });
  await clock.advance(timeout + lease - 1);
  expect(done).toEqual([]);
  await clock.advance(20);
  expect(done).toEqual(['1 2', '2 1', '3 1']);
  deaf.end();
  await clock.advance(2_000);
  expect([done, said]).toEqual([['1 2', '2 1', '3 1', '1 1'], ['closed']]);
  await main.publish(ledger, { n: 4, key: 'k' });
  await clock.advance(2_000);
  expect(done.at(-1)).toBe('4 1');
});

test('a consumer whose handlers are all deaf leaves what it has to others, and comes back when one ends', async () => {
  const [main, other] = [await connected(), await connected()];
  const deaf = deafness();
  const [here, there]: [number[], number[]] = [[], []];
  const one = await main.subscribe(ledger, { ...base, concurrency: 1 }, async ({ payload }) => {
    here.push(payload.n);
    await deaf.ends;
  });
  await main.publish(ledger, { n: 1, key: 'k' });
  await main.publish(ledger, { n: 2, key: 'k' });
  await clock.advance(0);
  const two = await other.subscribe(ledger, base, ({ payload }) => void there.push(payload.n));
  await clock.advance(timeout + lease - 1);
  expect([here, there]).toEqual([[1], []]);
  await clock.advance(2_000);
  expect([here, there, one.status]).toEqual([[1], [1, 2], 'resubscribing']);
  await clock.advance(60_000);
  expect(one.status).toBe('resubscribing');
  deaf.end();
  await clock.advance(2_000);
  expect([here, one.status]).toEqual([[1], 'subscribed']);
  const closing = two.close();
  await clock.advance(2_000);
  await closing;
  await main.publish(ledger, { n: 3, key: 'k' });
  await clock.advance(2_000);
  expect([here, there]).toEqual([
    [1, 3],
    [1, 2],
  ]);
});

test('a dead letter is confirmed and its original settled before a stuck consumer leaves', async () => {
  const main = await connected();
  const runs: number[] = [];
  const deaf = deafness();
  const options = { ...base, concurrency: 1, retry: { attempts: 1 } };
  const one = await main.subscribe(orders, options, async ({ payload }) => {
    runs.push(payload.n);
    await deaf.ends;
  });
  await main.publish(orders, { n: 1 });
  broker.faults.stall('publish');
  await clock.advance(timeout + lease + 2_000);
  expect([one.status, one.counts.deadLettered]).toEqual(['subscribed', 0]);
  broker.faults.resume();
  await clock.advance(2_000);
  expect([one.status, one.counts.deadLettered]).toEqual(['resubscribing', 1]);
  expect((await main.lag(orders, 'g')).count).toBe(0);
  deaf.end();
  await clock.advance(5_000);
  expect([one.status, runs]).toEqual(['subscribed', [1]]);
});

test('transactional: nothing that a deaf handler publishes goes out, and the results are stored once', async () => {
  const main = await connected();
  const deaf = deafness();
  const got: number[] = [];
  await main.subscribe(results, { group: 'r' }, ({ payload }) => void got.push(payload.n));
  await main.subscribe(orders, { ...base, transactional: true }, async (_message, context) => {
    await context.publish(results, { n: context.attempt });
    if (context.attempt === 1) await deaf.ends;
  });
  await main.publish(orders, { n: 1 });
  await clock.advance(timeout + lease + 2_000);
  expect(got).toEqual([2]);
  deaf.end();
  await clock.advance(2_000);
  expect(got).toEqual([2]);
});

test('a deaf batch: each comes again alone and in order, and only the culprit is given up', async () => {
  const main = await connected();
  const [calls, letters]: [string[], string[]] = [[], []];
  const deaf = deafness();
  main.on('dead-lettered', ({ id, attempts }) => letters.push(`${id} ${attempts}`));
  const options = {
    ...base,
    concurrency: 8,
    batch: { size: 4, linger: 10 },
    retry: { attempts: 1, backoff: fixed(10) },
  };
  await main.subscribe(ledger, options, async (messages) => {
    calls.push(messages.map(({ id }) => id).join(' '));
    if (messages.some(({ id }) => id === 'a2')) await deaf.ends;
  });
  for (const [n, key] of ['a', 'b', 'a', 'c'].entries()) await main.publish(ledger, { n, key }, { id: `${key}${n}` });
  await clock.advance(10 * (timeout + lease));
  expect([calls, letters]).toEqual([['a0 a2 b1 c3', 'a0', 'b1', 'c3', 'a2'], ['a2 1']]);
  deaf.end();
  await clock.advance(2_000);
  expect((await main.lag(ledger, 'g')).count).toBe(0);
});

test('a deaf batch that ends when its first of a key has gone on: the next comes again behind that, uncharged', async () => {
  const main = await connected();
  const calls: string[] = [];
  const deaf = deafness();
  const options = { ...base, batch: { size: 2, linger: 10 } };
  await main.subscribe(ledger, options, async (messages, context) => {
    calls.push(messages.map((message) => `${message.id} ${context.attemptOf(message)}`).join(', '));
    if (messages.length > 1) await deaf.ends;
  });
  for (const id of ['a0', 'a1']) await main.publish(ledger, { n: 0, key: 'a' }, { id });
  await clock.advance(10 + timeout + lease);
  deaf.end();
  await clock.advance(2_000);
  expect(calls).toEqual(['a0 1, a1 1', 'a0 2', 'a1 1']);
});

test('a batch that ran past its timeout has thrown: it is halved, key-mates keep their order, and no neighbour is given up', async () => {
  const main = await connected();
  const calls: string[] = [];
  const letters: string[] = [];
  main.on('dead-lettered', ({ id }) => letters.push(id));
  const options = { ...base, batch: { size: 3, linger: 10 }, retry: { attempts: 2, backoff: fixed(10) } };
  await main.subscribe(ledger, options, async (messages) => {
    calls.push(messages.map(({ id }) => id).join(' '));
    if (messages.some(({ id }) => id === 'b2')) await new Promise<void>((end) => clock.setTimer(end, 2 * timeout));
  });
  for (const id of ['a0', 'a1', 'b2']) await main.publish(ledger, { n: 0, key: id[0] as string }, { id });
  await clock.advance(5_000);
  expect([calls, letters]).toEqual([['a0 a1 b2', 'a0 a1 b2', 'a0', 'b2', 'a1'], ['b2']]);
});

test('a batch counts its timeout from its call, not while its messages wait for a handler', async () => {
  const main = await connected();
  const runs: string[] = [];
  const options = { ...base, concurrency: 1, timeout: 1_000, batch: { size: 2, linger: 0 } };
  await main.subscribe(orders, options, async (messages, context) => {
    for (const message of messages) runs.push(`${message.payload.n} ${context.attemptOf(message)}`);
    await new Promise<void>((end) => clock.setTimer(end, 700));
  });
  for (const n of [1, 2, 3, 4, 5]) await main.publish(orders, { n });
  await clock.advance(10_000);
  expect(runs.toSorted()).toEqual([1, 2, 3, 4, 5].map((n) => `${n} 1`));
});

test('where leases are refused a deaf handler keeps its message', async () => {
  const main = await connected('refused');
  const deaf = deafness();
  let runs = 0;
  await main.subscribe(orders, base, () => {
    runs++;
    return deaf.ends;
  });
  await main.publish(orders, { n: 1 });
  await clock.advance(100 * lease);
  expect(runs).toBe(1);
  deaf.end();
});

test('a close does not wait for what is deaf any longer than it may', async () => {
  const main = await connected();
  const subscription = await main.subscribe(orders, { ...base, drain: 500 }, () => new Promise<void>(() => {}));
  await main.publish(orders, { n: 1 });
  await clock.advance(timeout + lease + 20);
  expect(subscription.running).toBe(2);
  const closed = subscription.close().then(() => 'closed');
  await clock.advance(2_000);
  expect(await Promise.race([closed, Promise.resolve('open')])).toBe('closed');
});
