import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { entriesOf, never, OnDouble } from './on-double.ts';

/** How the adapter polls, holds, settles and gives back: on the double, whose clock and answers can be chosen. */

const nothing = { delay: 0, failed: false, attempt: 0 };

test('one long poll at a time while there is little, and never more than the credit', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const subscription = await on.subscribe(adapter, 'inventory');
  expect(await subscription.receive(3, never)).toEqual([]);
  expect(subscription.reserved).toBe(3);
  const [poll] = on.calls('ReceiveMessage');
  expect(poll?.input).toMatchObject({ MaxNumberOfMessages: 3, WaitTimeSeconds: 1, VisibilityTimeout: 30 });
  expect(on.calls('ReceiveMessage')).toHaveLength(1);
  await on.publish(
    adapter,
    Array.from({ length: 8 }, () => on.message(null)),
  );
  let taken = 0;
  for (let size = 0; taken < 8; taken += size) {
    size = (await subscription.receive(3, never)).length;
    expect(size + subscription.reserved).toBeLessThanOrEqual(3);
  }
});

test('a backlog is read by several polls, ten at a time: a thousand messages, about a hundred receives and deletes', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  for (let n = 0; n < 10; n++)
    await on.publish(
      adapter,
      Array.from({ length: 100 }, () => on.message(null)),
    );
  const subscription = await on.subscribe(adapter, 'inventory');
  let taken = 0;
  while (taken < 1_000) {
    const deliveries = await subscription.receive(100, never);
    taken += deliveries.length;
    const results = await subscription.ack(deliveries.map(({ receipt }) => receipt));
    expect(results.every((one) => one === 'ok')).toBe(true);
  }
  const full = entriesOf(on.calls('DeleteMessageBatch')).length;
  expect(on.calls('ReceiveMessage').length - subscription.reserved / 10).toBeLessThanOrEqual(105);
  expect(full).toBeLessThanOrEqual(105);
});

test('an idle subscription waits long, a busy one shortly', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter({ pollWait: '2s' });
  await on.provision(adapter, ['inventory']);
  const subscription = await on.subscribe(adapter, 'inventory');
  const real = performance.now.bind(performance);
  performance.now = () => real() + 61_000; // a minute later
  try {
    await subscription.receive(1, never);
    expect(on.calls('ReceiveMessage').at(-1)?.input['WaitTimeSeconds']).toBe(2);
  } finally {
    performance.now = real;
  }
});

test('on FIFO a receive whose answer is lost is asked again under the same id, and gives the same messages', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(adapter, [on.message('a'), on.message('a')]);
  on.double.inject('ReceiveMessage', { kind: 'lose', what: 'answer' });
  const subscription = await on.subscribe(adapter, 'inventory');
  const began = performance.now();
  const taken = await on.take(subscription, 2, 10);
  expect(taken.map(({ id, deliveryCount }) => [id, deliveryCount])).toEqual([
    ['m1', 1],
    ['m2', 1],
  ]);
  expect(performance.now() - began).toBeLessThan(5_000); // not the lease of 30 s
  const [first, second] = on.calls('ReceiveMessage').map(({ input }) => input['ReceiveRequestAttemptId']);
  expect(second).toBe(first);
});

test('entries that could not be deleted are deleted again by the same receipt; what is gone is lost', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(
    adapter,
    ['a', 'b', 'c'].map((key) => on.message(key)),
  );
  const subscription = await on.subscribe(adapter, 'inventory', 5_000);
  const [a, b, c] = await on.take(subscription, 3);
  const fail = () => ({ code: 'InternalError', senderFault: false, done: false });
  on.double.inject('DeleteMessageBatch', { kind: 'entries', fail: (_, index) => (index === 1 ? fail() : null) });
  expect(await subscription.ack([a?.receipt, b?.receipt])).toEqual(['ok', 'ok']);
  const [, again] = entriesOf(on.calls('DeleteMessageBatch'));
  expect(again).toHaveLength(1);
  on.double.advance(6_000);
  expect(await subscription.ack([c?.receipt])).toEqual(['lost']);
});

test('a receipt settles its own delivery or nothing: given back, settled before, or closed', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter({ pollWait: '1s' });
  await on.provision(adapter, ['inventory']);
  await on.publish(adapter, [on.message(null), on.message(null), on.message(null)]);
  const subscription = await on.subscribe(adapter, 'inventory');
  const [first, second, third] = await on.take(subscription, 3);
  await subscription.nack?.([first?.receipt], nothing);
  expect(await subscription.ack([first?.receipt, second?.receipt])).toEqual(['lost', 'ok']);
  expect(await subscription.ack([second?.receipt])).toEqual(['lost']);
  await subscription.close();
  expect(await subscription.ack([third?.receipt])).toEqual(['lost']);
  expect(on.double.queue('orders__inventory')?.counts()).toEqual({ visible: 2, inFlight: 0, delayed: 0 });
});

test('a close lets its poll end, gives back what that brought, on FIFO the last of a key first, and sends nothing more', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter({ pollWait: '1s' });
  await on.provision(adapter, ['inventory']);
  const subscription = await on.subscribe(adapter, 'inventory');
  await subscription.receive(10, never);
  const closing = subscription.close();
  await on.publish(
    adapter,
    ['a', 'a', 'b'].map((key) => on.message(key)),
  );
  await closing;
  const queue = on.double.queue(on.queueName('inventory'));
  expect(queue?.counts()).toEqual({ visible: 3, inFlight: 0, delayed: 0 });
  const polls = on.calls('ReceiveMessage').length;
  await expect(subscription.receive(1, never)).rejects.toThrow('closed');
  expect(on.calls('ReceiveMessage')).toHaveLength(polls);
});

test('given back in the order that core names, ten at a time', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(
    adapter,
    Array.from({ length: 12 }, (_, n) => on.message(`k${n}`)),
  );
  const subscription = await on.subscribe(adapter, 'inventory');
  const taken = await on.take(subscription, 12);
  const receipts = taken.map(({ receipt }) => receipt).toReversed();
  await subscription.nack?.(receipts, nothing);
  const sent = entriesOf(on.calls('ChangeMessageVisibilityBatch'));
  expect(sent.map((entries) => entries.length)).toEqual([10, 2]);
  const again = await on.take(subscription, 12);
  expect(again.map(({ id }) => id).toSorted()).toEqual(taken.map(({ id }) => id).toSorted());
});

test('leases are extended ten at a time, never beyond twelve hours, and a lost one is told', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(
    adapter,
    Array.from({ length: 12 }, () => on.message(null)),
  );
  const subscription = await on.subscribe(adapter, 'inventory');
  const taken = await on.take(subscription, 12);
  const receipts = taken.map(({ receipt }) => receipt);
  const until = await subscription.extend?.(receipts, 60_000);
  expect(entriesOf(on.calls('ChangeMessageVisibilityBatch')).map((entries) => entries.length)).toEqual([10, 2]);
  expect(Number(until?.[0]) - performance.now()).toBeGreaterThan(55_000);
  await subscription.extend?.(receipts.slice(0, 1), 13 * 3_600_000);
  const longest = entriesOf(on.calls('ChangeMessageVisibilityBatch')).at(-1)?.[0]?.['VisibilityTimeout'];
  expect(Number(longest)).toBeLessThanOrEqual(43_199);
  expect(Number(longest)).toBeGreaterThan(43_100);
  on.double.advance(61_000);
  const thief = await on.subscribe(adapter, 'inventory');
  await on.take(thief, 1, 1);
  const results = await subscription.extend?.(receipts, 30_000);
  expect(results?.filter((one) => one === 'lost')).toHaveLength(1);
});

test.each([
  ['RequestThrottled', 400],
  ['ServiceUnavailable', 503],
  ['InternalFailure', 500],
])('a storm of %s makes no hot loop, and ends the subscription only when it lasts', async (type, status) => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(adapter, [on.message(null)]);
  const heal = on.double.inject('ReceiveMessage', { kind: 'refuse', type, status }, { count: 1_000 });
  const subscription = await on.subscribe(adapter, 'inventory');
  const began = performance.now();
  while (performance.now() - began < 1_500) expect(await subscription.receive(10, never)).toEqual([]);
  expect(on.calls('ReceiveMessage').length).toBeLessThan(8);
  heal();
  expect(await on.take(subscription, 1)).toHaveLength(1);
});

test('a key that expires ends the subscription with a code, at once, and no receive follows', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  on.double.inject('ReceiveMessage', { kind: 'refuse', type: 'ExpiredTokenException', status: 403 });
  const subscription = await on.subscribe(adapter, 'inventory');
  for (const _ of [1, 2]) {
    const error: unknown = await subscription.receive(1, never).catch((thrown: unknown) => thrown);
    expect(adapter.classify(error)).toBe('denied');
  }
  expect(on.calls('ReceiveMessage')).toHaveLength(1);
});

test('a receive that nobody answers is given up, and on FIFO asked again under its id', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter({ timeout: '500ms', pollWait: '1s' });
  await on.provision(adapter, ['inventory']);
  await on.publish(adapter, [on.message('a')]);
  on.double.inject('ReceiveMessage', { kind: 'hang' });
  expect(await on.take(await on.subscribe(adapter, 'inventory'), 1)).toHaveLength(1);
  const [first, second] = on.calls('ReceiveMessage').map(({ input }) => input['ReceiveRequestAttemptId']);
  expect(second).toBe(first);
});

test('a FIFO receipt that has expired settles nothing, and is told to be lost', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(adapter, [on.message('a')]);
  const subscription = await on.subscribe(adapter, 'inventory', 5_000);
  const [delivery] = await on.take(subscription, 1);
  on.double.advance(6_000);
  expect(await subscription.ack([delivery?.receipt])).toEqual(['lost']);
  expect(on.double.queue(on.queueName('inventory'))?.messages).toHaveLength(1);
});

test('a queue that is gone ends the subscription with a code, at once', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const subscription = await on.subscribe(adapter, 'inventory');
  on.double.inject('ReceiveMessage', { kind: 'refuse', type: 'QueueDoesNotExist', status: 400 });
  const error: unknown = await subscription.receive(1, never).catch((thrown: unknown) => thrown);
  expect(adapter.classify(error)).toBe('not-found');
});

test('polls do not take the sockets of acks', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(
    adapter,
    Array.from({ length: 60 }, (_, n) => `g${n}`),
  );
  await on.publish(adapter, [on.message(null)], { ...on.topic, kind: 'inbox', group: 'g0' });
  const busy = await on.subscribe(adapter, 'g0');
  const [delivery] = await on.take(busy, 1);
  const idle = await Promise.all(Array.from({ length: 59 }, (_, n) => on.subscribe(adapter, `g${n + 1}`)));
  const polls = idle.map((one) => one.receive(1, never)); // each waits for a second
  await expect.poll(() => on.calls('ReceiveMessage').length).toBe(60);
  const began = performance.now();
  expect(await busy.ack([delivery?.receipt])).toEqual(['ok']);
  expect(performance.now() - began).toBeLessThan(700);
  await Promise.all(polls);
});

test.each(['sqs', 'sqs-fifo'] as const)(
  'on %s lost answers to deletes and to visibility changes cost nothing',
  async (kind) => {
    await using on = await OnDouble.open(kind);
    const adapter = await on.adapter({ timeout: '500ms' });
    await on.provision(adapter, ['inventory']);
    await on.publish(adapter, [on.message('a'), on.message('b'), on.message('c')]);
    const subscription = await on.subscribe(adapter, 'inventory');
    const [a, b, c] = await on.take(subscription, 3);
    on.double.inject('DeleteMessageBatch', { kind: 'lose', what: 'answer' });
    expect(await subscription.ack([a?.receipt])).toEqual(['ok']);
    on.double.inject('ChangeMessageVisibilityBatch', { kind: 'hang' });
    await expect(subscription.extend?.([b?.receipt], 30_000)).rejects.toThrow();
    const [until] = (await subscription.extend?.([b?.receipt], 30_000)) ?? [];
    expect(until).not.toBe('lost');
    on.double.inject('ChangeMessageVisibilityBatch', { kind: 'lose', what: 'answer' });
    await subscription.nack?.([c?.receipt], nothing);
    expect(on.double.queue(on.queueName('inventory'))?.counts()).toEqual({ visible: 1, inFlight: 1, delayed: 0 });
  },
);

test('what this process gives back is no arrival that counts', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  await on.publish(adapter, [on.message(null)]);
  const subscription = await on.subscribe(adapter, 'inventory');
  for (let round = 0; round < 20; round++) {
    const [delivery] = await on.take(subscription, 1);
    expect(delivery?.deliveryCount).toBe(1);
    await subscription.nack?.([delivery?.receipt], nothing);
  }
  const other = await on.subscribe(adapter, 'inventory');
  const [delivery] = await on.take(other, 1);
  expect(delivery?.deliveryCount).toBe(21); // it can't know
});
