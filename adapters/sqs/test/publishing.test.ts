import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { Connection } from '../src/connection.ts';
import { Layout } from '../src/names.ts';
import { settingsOf } from '../src/options.ts';
import { Topology } from '../src/topology.ts';
import { entriesOf, never, OnDouble } from './on-double.ts';

/** What the adapter sends, and what it makes of the answers: on the double, where every answer can be chosen. */

const failing = (code: string, done = false) =>
  ({
    kind: 'entries',
    fail: (_entry: unknown, index: number) => (index === 1 ? { code, senderFault: false, done } : null),
  }) as const;

test('a thousand messages take a hundred requests, none with more than ten', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const slots = Array.from({ length: 16 }, async (_, slot) => {
    for (let at = slot * 10; at < 1_000; at += 160)
      await on.publish(
        adapter,
        Array.from({ length: Math.min(10, 1_000 - at) }, () => on.message(null)),
      );
  });
  await Promise.all(slots);
  const sizes = entriesOf(on.calls('SendMessageBatch')).map((entries) => entries.length);
  expect(sizes.reduce((sum, one) => sum + one, 0)).toBe(1_000);
  expect(Math.max(...sizes)).toBe(10);
  expect(sizes.length).toBeLessThanOrEqual(105);
});

test('on FIFO ten keys fill a request, and no request has two messages of one key', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const keys = Array.from({ length: 10 }, (_, n) => `k${n}`);
  const calls = keys.map((key) =>
    on.publish(
      adapter,
      Array.from({ length: 40 }, () => on.message(key)),
    ),
  );
  expect((await Promise.all(calls)).flat().every((one) => one === 'confirmed')).toBe(true);
  const requests = entriesOf(on.calls('SendMessageBatch'));
  expect(requests.length).toBeLessThanOrEqual(46); // the first and the last are not full
  for (const entries of requests)
    expect(new Set(entries.map((one) => one['MessageGroupId'])).size).toBe(entries.length);
  const stored = on.double.queue(on.queueName('inventory'))?.messages ?? [];
  const ofFirst = stored.filter(({ group }) => group === 'k0').map(({ body }) => Number(body.slice(1)));
  expect(ofFirst).toEqual(ofFirst.toSorted((a, b) => a - b));
});

test('a request holds 1 MiB and no more; a message of almost that goes alone', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const body = Buffer.alloc(400_000, 'x');
  const whole = Buffer.alloc(adapter.supports.publish.size.text, 'x');
  const messages = [body, body, body, whole, body].map((one) => on.message(null, { body: one }));
  expect(await on.publish(adapter, messages)).toEqual(Array.from({ length: 5 }, () => 'confirmed'));
  expect(entriesOf(on.calls('SendMessageBatch')).map((entries) => entries.length)).toEqual([2, 1, 1, 1]);
});

test.each([
  ['InvalidMessageContents', 'rejected invalid'],
  ['AccessDeniedException', 'rejected denied'],
  ['RequestThrottled', 'rejected throttled'],
  ['InternalError', 'unknown unavailable'],
  ['SomethingNew', 'unknown unclassified'],
])('an entry that fails with %s is %s, and its neighbours are confirmed', async (code, outcome) => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  on.double.inject('SendMessageBatch', failing(code));
  const messages = [1, 2, 3].map(() => on.message(null));
  expect(await on.publish(adapter, messages)).toEqual(['confirmed', outcome, 'confirmed']);
  expect(on.calls('SendMessageBatch')).toHaveLength(1); // to send it again is core's
});

test('an entry in neither list is unknown', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  on.double.inject('SendMessageBatch', { kind: 'entries', fail: (_, index) => (index === 0 ? 'unmentioned' : null) });
  expect(await on.publish(adapter, [on.message(null), on.message(null)])).toEqual(['unknown unavailable', 'confirmed']);
});

test.each([
  [{ kind: 'lose', what: 'answer' }, 'unknown unavailable'],
  [{ kind: 'lose', what: 'request' }, 'unknown unavailable'],
  [{ kind: 'hang' }, 'unknown timeout'],
  [{ kind: 'garble' }, 'unknown unavailable'],
  [{ kind: 'wrong-md5' }, 'unknown unclassified'],
  [{ kind: 'refuse', type: 'InternalFailure', status: 500 }, 'unknown unavailable'],
  [{ kind: 'refuse', type: 'ServiceUnavailable', status: 503 }, 'unknown unavailable'],
  [{ kind: 'refuse', type: 'RequestThrottled', status: 400 }, 'rejected throttled'],
  [{ kind: 'refuse', type: 'QueueDoesNotExist', status: 400 }, 'rejected not-found'],
  [{ kind: 'refuse', type: 'ExpiredTokenException', status: 403 }, 'rejected denied'],
] as const)('a send that meets %o is %s, and is sent once', async (fault, outcome) => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter({ timeout: '500ms' });
  await on.provision(adapter, ['inventory']);
  on.double.inject('SendMessageBatch', fault);
  expect(await on.publish(adapter, [on.message(null)])).toEqual([outcome]);
  expect(on.calls('SendMessageBatch')).toHaveLength(1);
});

test('on FIFO what follows a failed message of its key is not sent; other keys go on', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const fail = (entry: Record<string, unknown>) =>
    entry['MessageGroupId'] === 'a' ? { code: 'InternalError', senderFault: false, done: false } : null;
  on.double.inject('SendMessageBatch', { kind: 'entries', fail });
  const messages = ['a', 'b', 'a', 'b', 'a'].map((key) => on.message(key));
  expect(await on.publish(adapter, messages)).toEqual([
    'unknown unavailable',
    'confirmed',
    'skipped',
    'confirmed',
    'skipped',
  ]);
  expect(on.double.queue(on.queueName('inventory'))?.messages.map(({ body }) => body)).toEqual(['m2', 'm4']);
});

test('on FIFO a send whose answer was lost is stored once, however often it is sent', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  on.double.inject('SendMessageBatch', { kind: 'lose', what: 'answer' });
  const message = on.message('a');
  expect(await on.publish(adapter, [message])).toEqual(['unknown unavailable']);
  expect(await on.publish(adapter, [message])).toEqual(['confirmed']);
  expect(on.double.queue(on.queueName('inventory'))?.messages).toHaveLength(1);
});

test('a caller that gives up gets an outcome at once, and nothing more of it is sent', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  on.double.inject('SendMessageBatch', { kind: 'delay', ms: 300 });
  const giveUp = new AbortController();
  const publishing = adapter.publish(on.topic, [on.message('a'), on.message('a')], giveUp.signal);
  await expect.poll(() => on.calls('SendMessageBatch').length).toBe(1);
  giveUp.abort(new Error('enough'));
  expect((await publishing).map(({ status }) => status)).toEqual(['unknown', 'skipped']);
  await expect.poll(() => on.double.queue(on.queueName('inventory'))?.messages.length).toBe(1);
  expect(await on.publish(adapter, [on.message('b')])).toEqual(['confirmed']);
  expect(entriesOf(on.calls('SendMessageBatch')).flat()).toHaveLength(2);
});

test('what SQS can’t take is refused without a call', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory']);
  const tooLong = on.message(null, { delay: 901_000 });
  const tooLarge = on.message(null, { body: Buffer.alloc(1_048_570, 'x') });
  expect(await on.publish(adapter, [tooLong, tooLarge])).toEqual(['rejected unsupported', 'rejected too-large']);
  expect(on.calls('SendMessageBatch')).toHaveLength(0);
  expect(await on.publish(adapter, [on.message(null, { delay: 1_500 })])).toEqual(['confirmed']);
  expect(entriesOf(on.calls('SendMessageBatch'))[0]?.[0]?.['DelaySeconds']).toBe(2);
});

test('each group has a copy; where one queue fails the message is unknown', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await on.provision(adapter, ['inventory', 'fraud']);
  expect(await on.publish(adapter, [on.message('a')])).toEqual(['confirmed']);
  on.double.inject('SendMessageBatch', { kind: 'refuse', type: 'RequestThrottled', status: 400 });
  const message = on.message('a');
  expect(await on.publish(adapter, [message])).toEqual(['unknown throttled']);
  expect(await on.publish(adapter, [message])).toEqual(['confirmed']);
  for (const group of ['inventory', 'fraud']) expect(on.double.queue(on.queueName(group))?.messages).toHaveLength(2);
});

test('groups are found by name, over pages, and look-alikes are left out', async () => {
  await using on = await OnDouble.open('sqs');
  const groups = Array.from({ length: 1_003 }, (_, n) => `orders__g${n}`);
  for (const QueueName of [...groups, 'orders___x__g', 'orders__g1__dlq', 'ordersx__g'])
    await fetch(on.double.endpoint, {
      method: 'POST',
      headers: { 'x-amz-target': 'AmazonSQS.CreateQueue' },
      body: JSON.stringify({ QueueName }),
    });
  const settings = settingsOf({ url: on.double.endpoint.replace('http', 'sqs+http') }, 'test', 'sqs');
  const connection = new Connection(settings);
  await connection.open(never);
  const found = await new Topology(connection, new Layout(settings), settings).targets(on.topic);
  connection.close();
  expect(found.toSorted()).toEqual(groups.toSorted());
});

test('a topic without a group, and one whose groups may not be looked for', async () => {
  await using on = await OnDouble.open('sqs');
  const adapter = await on.adapter();
  await expect(adapter.publish(on.topic, [on.message(null)], never)).rejects.toThrow('has no group');
  const declared = await on.adapter({ discover: false });
  await on.provision(adapter, ['fraud']);
  await on.provision(declared, ['inventory']);
  expect(await on.publish(declared, [on.message(null)])).toEqual(['confirmed']);
  expect(on.double.queue('orders__fraud')?.messages).toHaveLength(0);
});

test('dead letters of one key do not wait for one another', async () => {
  await using on = await OnDouble.open('sqs-fifo');
  const adapter = await on.adapter();
  await adapter.provision({ topology: 'create', destination: on.deadLetters, retention: null, groups: [] }, never);
  const letters = Array.from({ length: 25 }, () => on.message('one key'));
  await on.publish(adapter, letters, on.deadLetters);
  const seen = await adapter.browse?.(on.deadLetters, null, 100);
  expect(new Set(seen?.map(({ id }) => id)).size).toBe(25);
  await expect(adapter.browse?.(on.topic, null, 1)).rejects.toThrow('would disturb its group');
});
