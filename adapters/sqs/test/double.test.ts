import { expect, test } from 'vitest';
import { Bench, errorOf } from './client.ts';

/** What SQS does with standard queues, checked through the SDK, which checks signatures' shape and checksums itself. */

test('a message makes the round trip with its attributes, and every arrival is counted', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  const sent = await on.sqs.sendMessage({
    QueueUrl: url,
    MessageBody: 'emoji 🚚 and\ttabs',
    MessageAttributes: {
      text: { DataType: 'String', StringValue: 'ä' },
      number: { DataType: 'Number', StringValue: '42' },
      bytes: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255]) },
      custom: { DataType: 'String.json', StringValue: '{}' },
    },
  });
  const [first] = await on.receive(url, 1, { visibility: 1 });
  expect(first?.MessageId).toBe(sent.MessageId);
  expect(first?.Body).toBe('emoji 🚚 and\ttabs');
  expect(first?.MessageAttributes?.['bytes']?.BinaryValue).toEqual(new Uint8Array([0, 255]));
  expect(first?.MessageAttributes?.['custom']).toMatchObject({ DataType: 'String.json', StringValue: '{}' });
  expect(first?.Attributes?.ApproximateReceiveCount).toBe('1');
  expect(await on.bodies(url)).toBe('');
  on.double.advance(1_001);
  const [second] = await on.receive(url);
  expect(second?.Attributes?.ApproximateReceiveCount).toBe('2');
  expect(second?.ReceiptHandle).not.toBe(first?.ReceiptHandle);
});

test('attributes come only as asked for, with the checksum of what comes', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  const text = { DataType: 'String', StringValue: 'x' };
  await on.sqs.sendMessage({
    QueueUrl: url,
    MessageBody: 'x',
    MessageAttributes: { 'foo.a': text, 'foo.b': text, bar: text },
  });
  const ask = async (...names: string[]): Promise<string[]> => {
    const { Messages } = await on.sqs.receiveMessage({
      QueueUrl: url,
      VisibilityTimeout: 0,
      MessageAttributeNames: names,
    });
    return Object.keys(Messages?.[0]?.MessageAttributes ?? {});
  };
  expect(await ask()).toEqual([]);
  expect(await ask('bar')).toEqual(['bar']);
  expect(await ask('foo.*')).toEqual(['foo.a', 'foo.b']);
  expect(await ask('.*')).toHaveLength(3);
});

test('visibility is of one receipt, and can be given back, prolonged and changed after its end', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  await on.send(url, 'a1');
  const [held] = await on.receive(url, 1, { visibility: 10 });
  await on.change(url, held, 20);
  on.double.advance(15_000);
  expect(await on.bodies(url)).toBe('');
  on.double.advance(6_000);
  await on.change(url, held, 5); // nobody else has received it
  expect(await on.bodies(url)).toBe('');
  const waiting = on.bodies(url, 1, { wait: 5, visibility: 30 });
  await on.change(url, held, 0);
  expect(await waiting).toBe('a1');
  await expect(on.change(url, held, 5)).rejects.toThrow('not available for visibility timeout change');
});

test('a message is held for twelve hours in all, and no longer', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  await on.send(url, 'a1');
  const [held] = await on.receive(url, 1, { visibility: 43_200 });
  expect(await errorOf(on.change(url, held, 43_201))).toBe('InvalidParameterValue');
  on.double.advance(3_600_000);
  await expect(on.change(url, held, 43_200)).rejects.toThrow('beyond the limit');
  await on.change(url, held, 39_000);
});

test('deleting is repeatable, works after the end of the lease, and does nothing for an old receipt', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  await on.send(url, 'a1', 'a2');
  const [first] = await on.receive(url, 1, { visibility: 1 });
  on.double.advance(1_001);
  await on.delete(url, first);
  await on.delete(url, first);
  const [old] = await on.receive(url, 1, { visibility: 1 });
  on.double.advance(1_001);
  const [fresh] = await on.receive(url, 1);
  await on.delete(url, old);
  expect(await on.counts(url)).toBe('0 1 0');
  await on.delete(url, fresh);
  expect(await on.counts(url)).toBe('0 0 0');
  expect(await errorOf(on.delete(url, { ReceiptHandle: 'garbage' }))).toBe('ReceiptHandleIsInvalid');
});

test('polls wait and are woken by a send, and an empty answer has no list', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  const waiting = on.bodies(url, 1, { wait: 5 });
  await on.send(url, 'a1');
  expect(await waiting).toBe('a1');
  expect((await on.sqs.receiveMessage({ QueueUrl: url })).Messages).toBeUndefined();
  expect(await errorOf(on.receive(url, 11))).toBe('InvalidParameterValue');
});

test('delays are kept and counted, up to 900 seconds', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  await on.sqs.sendMessage({ QueueUrl: url, MessageBody: 'later', DelaySeconds: 900 });
  expect(await on.counts(url)).toBe('0 0 1');
  on.double.advance(899_000);
  expect(await on.bodies(url)).toBe('');
  on.double.advance(1_001);
  expect(await on.bodies(url)).toBe('later');
  const late = on.sqs.sendMessage({ QueueUrl: url, MessageBody: 'x', DelaySeconds: 901 });
  expect(await errorOf(late)).toBe('InvalidParameterValue');
});

test('what is not settled in time is gone', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders', { MessageRetentionPeriod: '60' });
  await on.send(url, 'a1');
  on.double.advance(61_000);
  expect(await on.bodies(url)).toBe('');
});

const string = { DataType: 'String', StringValue: 'x' };
const refused: readonly [what: string, name: string, input: object][] = [
  ['an empty body', 'MissingParameter', { MessageBody: '' }],
  ['illegal characters', 'InvalidMessageContents', { MessageBody: 'a\u0000' }],
  ['U+FFFE', 'InvalidMessageContents', { MessageBody: '\uFFFE' }],
  ['more than 1 MiB of UTF-8', 'InvalidParameterValue', { MessageBody: 'ä'.repeat(524_289) }],
  ['eleven attributes', 'InvalidParameterValue', { MessageBody: 'x', MessageAttributes: Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`a${n}`, string])) }],
  ['an empty attribute', 'InvalidParameterValue', { MessageBody: 'x', MessageAttributes: { a: { DataType: 'String', StringValue: '' } } }],
  ['a reserved attribute name', 'InvalidParameterValue', { MessageBody: 'x', MessageAttributes: { 'AWS.a': string } }],
  ['an attribute name with two dots', 'InvalidParameterValue', { MessageBody: 'x', MessageAttributes: { 'a..b': string } }],
  ['an unknown type', 'InvalidParameterValue', { MessageBody: 'x', MessageAttributes: { a: { DataType: 'Bool', StringValue: 'x' } } }],
  ['a deduplication id', 'InvalidParameterValue', { MessageBody: 'x', MessageDeduplicationId: 'x' }],
]; // prettier-ignore
test.each(refused)('a send with %s is refused with %s', async (_what, name, input) => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  expect(await errorOf(on.sqs.sendMessage({ QueueUrl: url, MessageBody: '', ...input }))).toBe(name);
});

test('1 MiB is taken, attributes included in the count', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  await on.sqs.sendMessage({ QueueUrl: url, MessageBody: 'x'.repeat(1_048_576) });
  const MessageAttributes = { a: string };
  await on.sqs.sendMessage({ QueueUrl: url, MessageBody: 'x'.repeat(1_048_576 - 8), MessageAttributes });
  const over = on.sqs.sendMessage({ QueueUrl: url, MessageBody: 'x'.repeat(1_048_576 - 7), MessageAttributes });
  expect(await errorOf(over)).toBe('InvalidParameterValue');
});

test('one bad entry of a batch fails alone; a batch that is wrong in itself fails whole', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders', { MaximumMessageSize: '1024' });
  const { Successful, Failed } = await on.sqs.sendMessageBatch({
    QueueUrl: url,
    Entries: [
      { Id: 'good', MessageBody: 'x' },
      { Id: 'bad', MessageBody: '\u0001' },
      { Id: 'big', MessageBody: 'x'.repeat(1_025) },
    ],
  });
  expect(Successful?.map(({ Id }) => Id)).toEqual(['good']);
  expect(Failed?.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault])).toEqual([
    ['bad', 'InvalidMessageContents', true],
    ['big', 'InvalidParameterValue', true],
  ]);
  const batch = (...Entries: { Id: string; MessageBody: string }[]): Promise<string> =>
    errorOf(on.sqs.sendMessageBatch({ QueueUrl: url, Entries }));
  const entry = (Id: string, MessageBody = 'x'): { Id: string; MessageBody: string } => ({ Id, MessageBody });
  expect(await batch()).toBe('EmptyBatchRequest');
  expect(await batch(...Array.from({ length: 11 }, (_, n) => entry(String(n))))).toBe('TooManyEntriesInBatchRequest');
  expect(await batch(entry('a b'))).toBe('InvalidBatchEntryId');
  expect(await batch(entry('a'), entry('a'))).toBe('BatchEntryIdsNotDistinct');
  expect(await batch(entry('a', 'x'.repeat(600_000)), entry('b', 'x'.repeat(600_000)))).toBe('BatchRequestTooLong');
});

test('queues are made once, found, listed by pages and missed by name', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders', { VisibilityTimeout: '5' });
  expect(await on.create('orders', { VisibilityTimeout: '5' })).toBe(url);
  expect(await errorOf(on.create('orders', { VisibilityTimeout: '6' }))).toBe('QueueNameExists');
  expect(await errorOf(on.sqs.getQueueUrl({ QueueName: 'none' }))).toBe('QueueDoesNotExist');
  expect(await errorOf(on.create('x.fifo', { FifoQueue: 'false' }))).not.toBe('none');
  expect(await errorOf(on.sqs.createQueue({ QueueName: 'x', Attributes: { FifoQueue: 'true' } }))).not.toBe('none');
  expect(await errorOf(on.create('y'.repeat(81)))).not.toBe('none');
  for (let n = 0; n < 5; n++) await on.create(`many${n}`);
  const page = await on.sqs.listQueues({ QueueNamePrefix: 'many', MaxResults: 3 });
  expect(page.QueueUrls).toHaveLength(3);
  const rest = await on.sqs.listQueues({ QueueNamePrefix: 'many', MaxResults: 3, NextToken: page.NextToken });
  expect([rest.QueueUrls?.length, rest.NextToken]).toEqual([2, undefined]);
  await on.sqs.deleteQueue({ QueueUrl: url });
  expect(await errorOf(on.create('orders'))).toBe('QueueDeletedRecently');
  on.double.advance(61_000);
  await on.create('orders');
});

test('a message received too often goes to the dead-letter queue and can be moved back', async () => {
  await using on = await Bench.open();
  const dead = await on.create('dead');
  const [deadArn, policy] = [
    'arn:aws:sqs:us-east-1:000000000000:dead',
    (count: number) => ({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: count }) }),
  ];
  const url = await on.create('orders', policy(1));
  await on.send(url, 'a1');
  const [first] = await on.receive(url, 1, { visibility: 0 });
  expect(await on.bodies(url)).toBe('');
  const [letter] = await on.receive(dead, 1, { visibility: 0 });
  expect([letter?.MessageId, letter?.Attributes?.ApproximateReceiveCount]).toEqual([first?.MessageId, '2']);
  expect(letter?.Attributes?.DeadLetterQueueSourceArn).toBe('arn:aws:sqs:us-east-1:000000000000:orders');
  expect((await on.sqs.listDeadLetterSourceQueues({ QueueUrl: dead })).queueUrls).toEqual([url]);
  await on.sqs.startMessageMoveTask({ SourceArn: deadArn });
  const { Results } = await on.sqs.listMessageMoveTasks({ SourceArn: deadArn });
  expect(Results?.[0]).toMatchObject({ Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 1 });
  const [again] = await on.receive(url);
  expect(again?.Attributes?.ApproximateReceiveCount).toBe('1');
  expect(again?.MessageId).not.toBe(first?.MessageId);
  const toNowhere = { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${deadArn}-none`, maxReceiveCount: 1 }) };
  expect(await errorOf(on.create('other', toNowhere))).toBe('InvalidParameterValue');
  await on.sqs.setQueueAttributes({
    QueueUrl: dead,
    Attributes: { RedriveAllowPolicy: '{"redrivePermission":"denyAll"}' },
  });
  expect(await errorOf(on.create('other', policy(1)))).toBe('InvalidParameterValue');
  const source = 'arn:aws:sqs:us-east-1:000000000000:orders';
  expect(await errorOf(on.sqs.startMessageMoveTask({ SourceArn: source }))).toBe('InvalidParameterValue');
});

test('a purge removes what is held, too, and rests for a minute', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  await on.send(url, 'a1', 'a2');
  await on.receive(url, 1);
  await on.sqs.purgeQueue({ QueueUrl: url });
  expect(await on.counts(url)).toBe('0 0 0');
  expect(await errorOf(on.sqs.purgeQueue({ QueueUrl: url }))).toBe('PurgeQueueInProgress');
});

test('over the limit in flight, a short poll is an error', async () => {
  await using on = await Bench.open({ mostInFlight: 2 });
  const url = await on.create('orders');
  await on.send(url, 'a1', 'a2', 'a3');
  expect(await on.bodies(url, 2)).toBe('a1 a2');
  expect(await errorOf(on.receive(url))).toBe('OverLimit');
});

test('a tenant of a fair queue is echoed, and orders nothing', async () => {
  await using on = await Bench.open();
  const url = await on.create('orders');
  for (const body of ['1', '2'])
    await on.sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: 'tenant' });
  const both = await on.receive(url);
  expect(both.map(({ Attributes }) => Attributes?.MessageGroupId)).toEqual(['tenant', 'tenant']);
});

test('standard queues shuffle and repeat where they are asked to', async () => {
  await using on = await Bench.open({ shuffles: true, duplicates: 0.5, seed: 7 });
  const url = await on.create('orders');
  const sent = Array.from({ length: 10 }, (_, n) => `a${n}`);
  await on.send(url, ...sent);
  const first = await on.bodies(url);
  expect(first.split(' ').toSorted()).toEqual(sent);
  expect(first).not.toBe(sent.join(' '));
  expect(await on.bodies(url)).not.toBe('');
});

test('faults strike the calls they name, after so many that go well', async () => {
  await using on = await Bench.open({ keys: ['test'] });
  const url = await on.create('orders');
  on.double.inject('SendMessage', { kind: 'lose', what: 'answer' }, { skip: 1 });
  await on.send(url, 'a1');
  await expect(on.send(url, 'a2')).rejects.toThrow();
  on.double.inject('SendMessage', { kind: 'lose', what: 'request' });
  await expect(on.send(url, 'a3')).rejects.toThrow();
  on.double.inject('SendMessage', { kind: 'refuse', type: 'RequestThrottled', status: 400 });
  expect(await errorOf(on.send(url, 'a4'))).toBe('RequestThrottled');
  on.double.inject('SendMessage', { kind: 'garble' });
  await expect(on.send(url, 'a5')).rejects.toThrow();
  on.double.inject('SendMessage', { kind: 'wrong-md5' });
  await expect(on.send(url, 'a6')).rejects.toThrow();
  on.double.inject('SendMessageBatch', {
    kind: 'entries',
    fail: (_entry, index) => (index === 0 ? { code: 'InternalError', senderFault: false, done: true } : 'unmentioned'),
  });
  const Entries = [
    { Id: '0', MessageBody: 'b1' },
    { Id: '1', MessageBody: 'b2' },
  ];
  const reply = await on.sqs.sendMessageBatch({ QueueUrl: url, Entries });
  expect([reply.Successful, reply.Failed?.length]).toEqual([undefined, 1]);
  expect(await on.bodies(url)).toBe('a1 a2 a5 a6 b1 b2');
  expect(on.double.callsOf('SendMessage')).toHaveLength(6);
});
