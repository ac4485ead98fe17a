import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadSns } from '../src/connection.ts';
import { sqs, sqsFifo } from '../src/index.ts';
import { allowing, allows } from '../src/policy.ts';
import { entriesOf, OnDouble } from './on-double.ts';

const sns = { fanout: 'sns' } as const;

/** The entries of the publishes to SNS, call by call. */
const published = (on: OnDouble): readonly (readonly Record<string, unknown>[])[] =>
  on.calls('PublishBatch').map(({ input }) => input['PublishBatchRequestEntries'] as Record<string, unknown>[]);

test('one publish reaches every group, raw, as it was; SQS is sent nothing', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter(sns);
  await on.provision(adapter, ['inventory', 'fraud']);
  const headers = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`h${index}`, `<${index} & "é">`]));
  const sent = Array.from({ length: 10 }, () => on.message(null, { headers }));
  expect(new Set(await on.publish(adapter, sent))).toEqual(new Set(['confirmed']));
  expect(published(on).map((entries) => entries.length)).toEqual([10]);
  expect(on.calls('SendMessageBatch')).toHaveLength(0);
  for (const group of ['inventory', 'fraud']) {
    const taken = await on.take(await on.subscribe(adapter, group), 10);
    expect(taken.map(({ id }) => id).toSorted()).toEqual(sent.map(({ id }) => id).toSorted());
    for (const { headers: came } of taken) expect({ ...came }).toEqual(headers);
  }
  expect(on.double.sns.discarded).toEqual([]);
});

test('a topic is made once, its queues subscribed once, and their policies keep what they had', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter(sns);
  await on.provision(await on.adapter(), ['inventory']);
  const theirs = { Effect: 'Deny', Principal: '*', Action: 'sqs:PurgeQueue', Resource: '*' };
  const queue = on.double.queue(on.queueName('inventory'));
  if (queue !== undefined)
    queue.attributes = { ...queue.attributes, Policy: JSON.stringify({ Id: 'x', Statement: theirs }) };
  for (const again of [await on.adapter(sns), adapter]) await on.provision(again, ['inventory']);
  const policy = JSON.parse(queue?.attributes['Policy'] ?? '{}') as { Id: string; Statement: object[] };
  expect(policy).toMatchObject({ Id: 'x', Statement: [theirs, { Effect: 'Allow', Action: 'sqs:SendMessage' }] });
  expect(policy.Statement).toHaveLength(2);
  expect(on.calls('Subscribe')).toHaveLength(1);
  expect(on.calls('SetQueueAttributes')).toHaveLength(1);
  await on.provision(await on.adapter(sns), ['inventory'], 'verify');
});

test('verify makes nothing, and names what is missing', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter(sns);
  await on.provision(await on.adapter(), ['inventory']);
  const verifying = (): Promise<void> => on.provision(adapter, ['inventory'], 'verify');
  await expect(verifying()).rejects.toThrow("the SNS topic 'orders' does not exist");
  await on.provision(await on.adapter(sns), []);
  await expect(verifying()).rejects.toThrow(
    /the queue 'orders__inventory' does not let the SNS topic '.*:orders' send/,
  );
  const queue = on.double.queue('orders__inventory');
  const Policy = allowing('', '', { topic: 'arn:aws:sns:us-east-1:000000000000:orders', queue: queue?.arn ?? '' });
  if (queue !== undefined) queue.attributes = { ...queue.attributes, Policy };
  await expect(verifying()).rejects.toThrow(/is not subscribed/);
  await expect(on.provision(adapter, [], 'verify')).rejects.toThrow(/has no subscription/);
  expect([...on.calls('Subscribe'), ...on.calls('SetQueueAttributes')]).toHaveLength(0);
});

test('a subscription that is not raw, or filters, is refused', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter(sns);
  await on.provision(adapter, ['inventory']);
  const [topic] = on.double.sns.topics;
  const [subscription] = topic?.subscriptions ?? [];
  for (const [name, value, said] of [
    ['RawMessageDelivery', 'false', 'RawMessageDelivery is not true'],
    ['FilterPolicy', '{"type":["created"]}', 'it has a FilterPolicy'],
  ] as const) {
    if (subscription !== undefined) subscription.attributes = { RawMessageDelivery: 'true', [name]: value };
    await expect(on.provision(adapter, ['inventory'])).rejects.toThrow(said);
  }
});

test('nothing is published to a topic without a group, for SNS would say yes and drop it', async () => {
  await using on = await OnDouble.open('sqs');
  for (const options of [sns, { ...sns, discover: false }]) {
    const adapter = await on.adapter(options);
    await on.provision(adapter, []);
    await expect(on.publish(adapter, [on.message(null)])).rejects.toThrow(/topic 'orders' has no group/);
    await on.provision(adapter, ['inventory']);
    expect(await on.publish(adapter, [on.message(null)])).toEqual(['confirmed']);
  }
  expect(on.calls('PublishBatch')).toHaveLength(2);
});

test('on FIFO one message of a key at a time; a repeat is stored once; other sends go to the queue itself', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter(sns);
  await on.provision(adapter, ['inventory']);
  const sent = ['a', 'b', 'a', 'a'].map((key) => on.message(key));
  expect(await on.publish(adapter, sent)).toEqual(Array.from({ length: 4 }, () => 'confirmed'));
  expect(published(on).map((entries) => entries.map((entry) => entry['MessageGroupId']))).toEqual([
    ['a', 'b'],
    ['a'],
    ['a'],
  ]);
  on.double.inject('PublishBatch', { kind: 'lose', what: 'answer' });
  const late = on.message('a');
  expect(await on.publish(adapter, [late])).toEqual(['unknown unavailable']);
  expect(await on.publish(adapter, [late])).toEqual(['confirmed']);
  const subscription = await on.subscribe(adapter, 'inventory');
  const ids = (await on.take(subscription, 5)).map(({ id, key }) => `${key} ${id}`);
  expect(ids.filter((id) => id.startsWith('a'))).toEqual(
    [sent[0], sent[2], sent[3], late].map((one) => `a ${one?.id}`),
  );
  await on.provision(adapter, []);
  const inbox = { ...on.topic, kind: 'inbox', name: 'orders__inventory__retry', group: 'inventory' } as const;
  expect(await on.publish(adapter, [on.message('z')], inbox)).toEqual(['confirmed']);
  expect(entriesOf(on.calls('SendMessageBatch'))).toHaveLength(1);
});

test('each entry has its own outcome, and a request holds 256 KiB', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter(sns);
  await on.provision(adapter, ['inventory']);
  on.double.inject('PublishBatch', {
    kind: 'entries',
    fail: (_, index) => {
      const code = [null, null, 'ThrottledException', 'InvalidParameter', 'InternalError'][index] ?? null;
      return code === null ? (index === 0 ? null : 'unmentioned') : { code, senderFault: false, done: false };
    },
  });
  const sent = Array.from({ length: 5 }, () => on.message(null));
  expect(await on.publish(adapter, sent)).toEqual([
    'confirmed',
    'unknown unavailable',
    'rejected throttled',
    'rejected invalid',
    'unknown unavailable',
  ]);
  const big = Array.from({ length: 3 }, () => on.message(null, { body: Buffer.alloc(100_000, 'a') }));
  expect(new Set(await on.publish(adapter, big))).toEqual(new Set(['confirmed']));
  expect(
    published(on)
      .slice(1)
      .map((entries) => entries.length),
  ).toEqual([2, 1]);
  expect(await on.publish(adapter, [on.message(null, { body: Buffer.alloc(262_144, 'a') })])).toEqual([
    'rejected too-large',
  ]);
  expect(adapter.supports.publish.size).toEqual({ text: 245_760, binary: 184_320 });
});

test('a topic that is gone is looked up again; its ARN may be given', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter({ ...sns, groupRefresh: '1m' });
  await on.provision(adapter, ['inventory']);
  expect(await on.publish(adapter, [on.message(null)])).toEqual(['confirmed']);
  const [topic] = on.double.sns.topics;
  on.double.sns.remove(topic?.arn ?? '');
  expect(await on.publish(adapter, [on.message(null)])).toEqual(['rejected not-found']);
  await on.provision(await on.adapter(sns), ['inventory']);
  expect(await on.publish(adapter, [on.message(null)])).toEqual(['confirmed']);
  const address = topic?.arn ?? '';
  expect(await on.publish(adapter, [on.message(null)], { ...on.topic, address })).toEqual(['confirmed']);
  const wrong = on.publish(adapter, [on.message(null)], { ...on.topic, address: 'arn:aws:sqs:eu-west-1:1:orders' });
  await expect(wrong).rejects.toThrow(/must be the ARN of a standard SNS topic/);
});

test('the double: a queue that does not allow it gets nothing, nor what has more than ten attributes', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter(sns);
  await on.provision(adapter, ['inventory', 'fraud']);
  const queue = on.double.queue('orders__fraud');
  if (queue !== undefined) queue.attributes = { ...queue.attributes, Policy: '' };
  expect(await on.publish(adapter, [on.message(null)])).toEqual(['confirmed']);
  expect(on.double.sns.discarded).toMatchObject([{ why: 'the policy of the queue does not allow it' }]);
  const { SNSClient, PublishBatchCommand } = await import('@aws-sdk/client-sns');
  const client = new SNSClient({
    endpoint: on.double.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const MessageAttributes = Object.fromEntries(
    Array.from({ length: 11 }, (_, index) => [`a${index}`, { DataType: 'String', StringValue: 'x' }]),
  );
  const PublishBatchRequestEntries = [{ Id: randomUUID(), Message: 'm', MessageAttributes }];
  const [topic] = on.double.sns.topics;
  const { Successful } = await client.send(
    new PublishBatchCommand({ TopicArn: topic?.arn, PublishBatchRequestEntries }),
  );
  expect(Successful).toHaveLength(1);
  expect(on.double.sns.discarded.map(({ why }) => why)).toContain('more than ten attributes');
  client.destroy();
});

test('a policy allows by service, action and topic', () => {
  const ours = allowing('q', '', { topic: 'arn:t', queue: 'arn:q' });
  expect(allows(ours, 'arn:t')).toBe(true);
  expect(allows(ours, 'arn:u')).toBe(false);
  expect(allows(ours.replace('Allow', 'Deny'), 'arn:t')).toBe(false);
  expect(allows(ours.replace('sqs:SendMessage', 'sqs:ReceiveMessage'), 'arn:t')).toBe(false);
  expect(allows(ours.replace('"sqs:SendMessage"', '["SQS:SendMessage","x"]'), 'arn:t')).toBe(true);
  expect(() => allowing('q', 'no json', { topic: 'arn:t', queue: 'arn:q' })).toThrow(
    "the policy of the queue 'q' can't be read",
  );
});

test('without the package it says what to install; options that go nowhere are refused', async () => {
  const missing = Object.assign(new Error('no such package'), { code: 'ERR_MODULE_NOT_FOUND' });
  const loading = loadSns(() => Promise.reject(missing));
  await expect(loading).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringContaining('npm install @aws-sdk/client-sns'),
  });
  const broken = new Error('it is broken');
  await expect(loadSns(() => Promise.reject(broken))).rejects.toBe(broken);
  expect(() => sqs({ fanout: 'SNS' as 'sns' })).toThrow("fanout is 'SNS'; allowed: direct, sns");
  expect(() => sqs({ snsEndpoint: 'https://x' })).toThrow("snsEndpoint needs fanout: 'sns'");
  const client = { send: () => Promise.resolve() } as never;
  expect(() => sqs({ ...sns, clients: { poll: client, rest: client } })).toThrow(/one of @aws-sdk\/client-sns/);
  const { supports } = sqsFifo(sns);
  expect(supports.deliver.fanout).toEqual({ by: 'native', window: 0 });
  expect(sqs(sns).supports.publish.delay.by).toBe('refused');
});
