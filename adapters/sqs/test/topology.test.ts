import { SQSClient } from '@aws-sdk/client-sqs';
import { connect, type WaybillError } from '@waybill/core';
import { expect, test } from 'vitest';
import { sqs, sqsFifo } from '../src/index.ts';
import { never, OnDouble } from './on-double.ts';

/** Queues, and the ways in which a start can go wrong. */

test('queues are made with what the manifest promises, and with tags and a key where asked for', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter({ tags: { team: 'goods' }, kmsKey: 'alias/goods' });
  await on.provision(adapter, ['inventory']);
  expect(on.double.queue('orders__inventory.fifo')?.attributes).toMatchObject({
    FifoQueue: 'true',
    ContentBasedDeduplication: 'false',
    DeduplicationScope: 'messageGroup',
    FifoThroughputLimit: 'perMessageGroupId',
    MessageRetentionPeriod: '1209600',
    MaximumMessageSize: '1048576',
    KmsMasterKeyId: 'alias/goods',
  });
  expect(on.calls('CreateQueue')[0]?.input['tags']).toEqual({ team: 'goods' });
});

test('an existing queue is never altered; verify says what is different, and what is missing', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const queue = on.double.queue('orders__inventory');
  if (queue !== undefined) queue.attributes = { ...queue.attributes, MessageRetentionPeriod: '60' };
  await on.provision(adapter, ['inventory']);
  expect(queue?.attributes['MessageRetentionPeriod']).toBe('60');
  await expect(on.provision(adapter, ['inventory'], 'verify')).rejects.toThrow(
    'MessageRetentionPeriod is 60, expected 1209600',
  );
  await expect(on.provision(adapter, ['fraud'], 'verify')).rejects.toThrow("'orders__fraud' does not exist");
});

test('a new group is said to be there when no publisher can have an older list', async () => {
  await using on = await OnDouble.open('sqs');
  const publisher = await on.adapter({ groupRefresh: '300ms' });
  const consumer = await on.adapter({ groupRefresh: '300ms' });
  await on.provision(publisher, ['inventory']);
  expect(await on.publish(publisher, [on.message(null)])).toEqual(['confirmed']);
  const lists = on.calls('ListQueues').length;
  expect(await on.publish(publisher, [on.message(null)])).toEqual(['confirmed']);
  expect(on.calls('ListQueues')).toHaveLength(lists); // it knows them still
  await on.provision(consumer, ['fraud']);
  await on.publish(publisher, [on.message(null)]);
  expect(on.double.queue('orders__fraud')?.messages).toHaveLength(1);
});

test('a name that was deleted a moment ago is refused with a code', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  on.double.inject('CreateQueue', { kind: 'refuse', type: 'QueueDeletedRecently', status: 400 });
  const error: unknown = await on.provision(adapter, ['inventory']).catch((thrown: unknown) => thrown);
  expect(adapter.classify(error)).toBe('not-found');
});

test('names are checked at the start, the longest that will be needed', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await expect(on.provision(adapter, ['g'.repeat(63)])).rejects.toThrow('81 characters; allowed: 80');
  expect(on.calls('CreateQueue')).toHaveLength(0);
});

test('a queue with a redrive policy is refused, unless that is accepted', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const queue = on.double.queue('orders__inventory');
  if (queue !== undefined) queue.attributes = { ...queue.attributes, RedrivePolicy: '{"maxReceiveCount":3}' };
  await expect(on.provision(adapter, ['inventory'])).rejects.toThrow('allowRedrivePolicy: true');
  await on.provision(await on.adapter({ allowRedrivePolicy: true }), ['inventory']);
});

const rejection = (promise: Promise<unknown>): Promise<WaybillError> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: WaybillError) => error,
  );

test('a wrong key is one clear error, without the key', async () => {
  await using on = await OnDouble.open('sqs', { keys: ['AKIARIGHT'] });
  const host = on.double.endpoint.slice('http://'.length);
  const error = await rejection(connect(`sqs+http://AKIAWRONG:hushhush@${host}`));
  expect(error.code).toBe('denied');
  expect(`${error.message} ${String(error.cause)}`).not.toMatch(/AKIAWRONG|hushhush/);
});

test('nobody there, no region, and no key, are clear errors in time', async () => {
  const nobody = await rejection(connect('sqs+http://127.0.0.1:1'));
  expect(nobody.code).toBe('unavailable');
  const saved = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  const none = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', ...none });
  try {
    const adapter = sqs({ credentials: { accessKeyId: 'a', secretAccessKey: 'b' } });
    const error: unknown = await adapter.connect(never).catch((thrown: unknown) => thrown);
    expect([adapter.classify(error), String(error)]).toEqual(['invalid', expect.stringContaining('Region')]);
    await adapter.close();
    const nameless = sqs({ region: 'eu-west-1' });
    const nobodyIs: unknown = await nameless.connect(never).catch((thrown: unknown) => thrown);
    expect([nameless.classify(nobodyIs), String(nobodyIs)]).toEqual(['denied', expect.stringMatching(/credentials/i)]);
    await nameless.close();
  } finally {
    process.env = saved;
  }
});

test('clients of the user are used and never destroyed', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const config = {
    endpoint: on.double.endpoint,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    useQueueUrlAsEndpoint: false as const,
  };
  const clients = { poll: new SQSClient(config), rest: new SQSClient(config) };
  let destroyed = 0;
  for (const client of Object.values(clients)) client.destroy = () => void destroyed++;
  const adapter = sqsFifo({ clients });
  expect(await adapter.connect(never)).toMatchObject({ queues: 'sqs-fifo', region: 'eu-west-1' });
  await adapter.close();
  expect(destroyed).toBe(0);
});
