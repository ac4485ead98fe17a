import { expect, test } from 'vitest';
import { Bench, errorOf } from './client.ts';

/** What SQS does with FIFO queues. All of it follows from one rule: what is hidden hides what is later in its group. */

test('order is kept per group, a receive gives a run of one group, then of others', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'b1', 'a2', 'b2', 'a3');
  expect(await on.bodies(url, 2)).toBe('a1 a2');
  expect(await on.bodies(url)).toBe('b1 b2');
});

test('while any of a group is in flight no later one comes, sent before or after; the other groups do', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'a2', 'a3');
  const [a1, a2] = await on.receive(url, 2);
  await on.send(url, 'a4', 'b1');
  expect(await on.bodies(url)).toBe('b1');
  await on.delete(url, a1);
  expect(await on.bodies(url)).toBe('');
  const waiting = on.bodies(url, 10, { wait: 5 });
  await on.delete(url, a2);
  expect(await waiting).toBe('a3 a4');
});

test('the head given back comes alone; the tail given back stays behind its head', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'a2', 'a3');
  const [a1, a2] = await on.receive(url, 2);
  await on.change(url, a1, 0);
  const [again] = await on.receive(url);
  expect(again?.Body).toBe('a1');
  await on.change(url, a2, 0);
  expect(await on.bodies(url)).toBe('');
  await on.delete(url, again);
  expect(await on.bodies(url)).toBe('a2 a3');
});

test('a head that is delayed blocks the tail that is visible', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'a2');
  const [a1, a2] = await on.receive(url, 2);
  await on.change(url, a1, 30);
  await on.change(url, a2, 0);
  expect(await on.bodies(url)).toBe('');
  on.double.advance(30_001);
  expect(await on.bodies(url)).toBe('a1 a2');
});

test('the end of leases restores the order', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'a2', 'a3');
  await on.receive(url, 2, { visibility: 5 });
  on.double.advance(5_001);
  expect(await on.bodies(url)).toBe('a1 a2 a3');
});

test('counts: what is blocked is visible, but not deliverable', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'a2', 'a3');
  await on.receive(url, 1);
  expect(await on.counts(url)).toBe('2 1 0');
});

test('a deduplicated send looks like the first, for five minutes, though that was deleted', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  const send = (body: string, group = 'a') =>
    on.sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: group, MessageDeduplicationId: 'same' });
  const first = await send('one');
  const [message] = await on.receive(url);
  await on.delete(url, message);
  const second = await send('another', 'b'); // the SDK checks the checksum of what it sent
  expect([second.MessageId, second.SequenceNumber]).toEqual([first.MessageId, first.SequenceNumber]);
  expect(await on.bodies(url)).toBe('');
  on.double.advance(300_001);
  const third = await send('third');
  expect(BigInt(third.SequenceNumber ?? 0) > BigInt(first.SequenceNumber ?? 0)).toBe(true);
  expect(await on.bodies(url)).toBe('third');
  await on.sqs.purgeQueue({ QueueUrl: url });
  await send('after a purge');
  expect(await on.bodies(url)).toBe('after a purge');
});

test('deduplication by group, and by content', async () => {
  await using on = await Bench.open();
  const scoped = { DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' };
  const url = await on.create('orders.fifo', scoped);
  for (const group of ['a', 'b'])
    await on.sqs.sendMessage({
      QueueUrl: url,
      MessageBody: group,
      MessageGroupId: group,
      MessageDeduplicationId: 'same',
    });
  expect(await on.bodies(url)).toBe('a b');
  const byContent = await on.create('content.fifo', { ContentBasedDeduplication: 'true' });
  for (let n = 0; n < 2; n++) await on.sqs.sendMessage({ QueueUrl: byContent, MessageBody: 'x', MessageGroupId: 'a' });
  expect(await on.bodies(byContent)).toBe('x');
  expect(await errorOf(on.create('other.fifo', { FifoThroughputLimit: 'perMessageGroupId' }))).not.toBe('none');
});

test('group and deduplication ids are needed, in a batch by the whole call; delays are refused', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  const send = (input: object): Promise<string> =>
    errorOf(on.sqs.sendMessage({ QueueUrl: url, MessageBody: 'x', ...input }));
  expect(await send({ MessageDeduplicationId: 'x' })).toBe('MissingParameter');
  expect(await send({ MessageGroupId: 'a' })).toBe('InvalidParameterValue');
  expect(await send({ MessageGroupId: 'a b', MessageDeduplicationId: 'x' })).toBe('InvalidParameterValue');
  expect(await send({ MessageGroupId: 'a'.repeat(129), MessageDeduplicationId: 'x' })).toBe('InvalidParameterValue');
  expect(await send({ MessageGroupId: 'a', MessageDeduplicationId: 'x', DelaySeconds: 1 })).toBe(
    'InvalidParameterValue',
  );
  const Entries = [
    { Id: '0', MessageBody: 'x', MessageGroupId: 'a', MessageDeduplicationId: 'x' },
    { Id: '1', MessageBody: 'x', MessageDeduplicationId: 'y' },
  ];
  expect(await errorOf(on.sqs.sendMessageBatch({ QueueUrl: url, Entries }))).toBe('MissingParameter');
  expect(await on.bodies(url)).toBe('');
});

test("a queue's own delay holds for every message", async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo', { DelaySeconds: '10' });
  await on.send(url, 'a1');
  expect(await on.bodies(url)).toBe('');
  on.double.advance(10_001);
  expect(await on.bodies(url)).toBe('a1');
});

test('a receive under the same attempt id gives the same messages, and counts them once', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'a2');
  const first = await on.receive(url, 10, { attempt: 'one' });
  const again = await on.receive(url, 10, { attempt: 'one' });
  expect(again.map(({ ReceiptHandle }) => ReceiptHandle)).toEqual(first.map(({ ReceiptHandle }) => ReceiptHandle));
  expect(again[0]?.Attributes?.ApproximateReceiveCount).toBe('1');
  await on.delete(url, first[0]);
  expect(await on.receive(url, 10, { attempt: 'one' })).toEqual([]);
});

test('an expired receipt deletes nothing and says so', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1');
  const [held] = await on.receive(url, 1, { visibility: 1 });
  on.double.advance(1_001);
  await expect(on.delete(url, held)).rejects.toThrow('receipt handle has expired');
  await on.receive(url, 1, { visibility: 30 });
  await expect(on.delete(url, held)).rejects.toThrow('receipt handle has expired');
  expect(await on.counts(url)).toBe('0 1 0');
});

test('a native redrive drags the run that was never handled, and unblocks the group', async () => {
  await using on = await Bench.open();
  const dead = await on.create('dead.fifo');
  const RedrivePolicy = JSON.stringify({
    deadLetterTargetArn: 'arn:aws:sqs:us-east-1:000000000000:dead.fifo',
    maxReceiveCount: 1,
  });
  const url = await on.create('orders.fifo', { RedrivePolicy });
  await on.send(url, 'a1', 'a2');
  await on.receive(url, 2, { visibility: 1 });
  on.double.advance(1_001);
  await on.send(url, 'a3');
  expect(await on.bodies(url)).toBe('a3');
  expect(await on.bodies(dead)).toBe('a1 a2');
});

test('the first look ends where the queue has handed out all it may', async () => {
  await using on = await Bench.open({ mostInFlight: 1 });
  const url = await on.create('orders.fifo');
  await on.send(url, 'a1', 'b1');
  expect(await on.bodies(url)).toBe('a1');
  expect(await on.bodies(url)).toBe('');
});
