import { expect, test } from 'vitest';
import { requireBroker } from '../src/index.ts';
import { withBroker } from './own-broker.ts';

await withBroker('sqs', { durable: true }, (sqs) => {
  test('it says what it is', () => {
    expect(sqs).toMatchObject({ name: 'sqs', how: 'process', kind: 'emulator', running: true });
    expect(sqs.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(sqs.can).toMatchObject({ kill: true, proxy: true, users: expect.stringContaining('nobody') as unknown });
  });

  test('at its address: nothing of it can be broken, and a proxy leads there', async () => {
    const url = `${sqs.url.replace('//', '//key:secret@')}?region=us-east-1`;
    await using given = await requireBroker('sqs', { env: { WAYBILL_SQS_URL: url } });
    expect(given).toMatchObject({ how: 'address', kind: 'emulator', endpoint: sqs.endpoint });
    expect((await given.proxy()).url).toMatch(/^sqs\+http:\/\/key:secret@127\.0\.0\.1:\d+\?region=us-east-1$/);
    await expect(given.kill()).rejects.toThrow(/given address/);
  });

  test('a queue and its message outlive kill -9, at the same URL', async () => {
    const { QueueUrl } = await sqs.call('CreateQueue', { QueueName: 'kept' });
    await sqs.call('SendMessage', { QueueUrl, MessageBody: 'still here' });
    await sqs.kill();
    await expect(sqs.call('ListQueues')).rejects.toThrow(/ECONNREFUSED/);
    await sqs.restart();
    const { Messages } = (await sqs.call('ReceiveMessage', { QueueUrl })) as { Messages: { Body: string }[] };
    expect(Messages.map(({ Body }) => Body)).toEqual(['still here']);
  });

  test('paused it answers nothing; then it goes on', async () => {
    await sqs.pause();
    await expect(fetch(sqs.endpoint, { signal: AbortSignal.timeout(300) })).rejects.toThrow(/timeout/);
    await sqs.unpause();
    await sqs.call('ListQueues');
  });

  test('reset leaves no queue, and a call by way of the proxy is seen there', async () => {
    const proxy = await sqs.proxy();
    await sqs.call('CreateQueue', { QueueName: 'one' });
    const response = await fetch(proxy.url.replace('sqs+', ''), {
      method: 'POST',
      headers: { 'x-amz-target': 'AmazonSQS.ListQueues', 'content-type': 'application/x-amz-json-1.0' },
      body: '{}',
    });
    expect(await response.text()).toContain('/one');
    expect(proxy.accepted).toBe(1);
    await sqs.reset();
    expect(await sqs.call('ListQueues')).toEqual({ QueueUrls: [] });
  });

  test('one that is not durable: its own URL, nothing left after a restart', async () => {
    await using broker = await requireBroker('sqs-fifo', { from: 'process' });
    expect(broker.url).toMatch(/^sqs-fifo\+http:\/\/127\.0\.0\.1:\d+$/);
    expect(broker.url).not.toContain(new URL(sqs.endpoint).port);
    await broker.call('CreateQueue', { QueueName: 'gone.fifo', Attributes: { FifoQueue: 'true' } });
    await broker.restart({ how: 'kill' });
    expect(await broker.call('ListQueues')).toEqual({ QueueUrls: [] });
  });
});
