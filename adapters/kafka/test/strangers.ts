import { gather, never, provisioned, topic } from '@waybill/conformance/requests';
import { expect, test } from 'vitest';
import { adapter, broker, consume, producer } from './server.ts';

export function strangers(): void {
  test('records of other programs: no key, no value, two headers of a name, bytes that are no text', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    await producer.send({
      topic: orders.name,
      messages: [
        { key: null, value: 'plain', partition: 0 },
        { key: 'k', value: null, partition: 0 },
        {
          key: Buffer.from([0xff]),
          value: 'x',
          partition: 0,
          headers: { twice: ['a', 'b'], bytes: Buffer.from([0xfe]) },
        },
      ],
    });
    const from = await consume(on, orders);
    const [plain, tombstone, odd] = await gather(from, 3);
    expect(plain).toMatchObject({ key: null, id: `${orders.name}-0-0`, position: { 0: '0' }, control: null });
    expect([tombstone?.body.byteLength, tombstone?.raw]).toEqual([0, expect.objectContaining({ tombstone: true })]);
    expect({ ...odd?.headers }).toEqual({ twice: 'b', bytes: Buffer.from([0xfe]) });
    expect(odd?.key).toMatch(/^base64/);
    await from.ack([odd?.receipt]);
    await from.close();
  });

  test('a batch in a codec that is not there ends the subscription, and its name is said', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    const { default: kafkajs } = (await import('kafkajs')) as unknown as { default: typeof import('kafkajs') };
    const { CompressionCodecs, CompressionTypes } = kafkajs;
    const registry = CompressionCodecs as Record<number, unknown>;
    const before = registry[CompressionTypes.LZ4];
    // What it holds is of no matter: it is not looked at.
    registry[CompressionTypes.LZ4] = () => ({ compress: ({ buffer }: { buffer: Buffer }) => Promise.resolve(buffer) });
    const sending = producer.send({
      topic: orders.name,
      compression: CompressionTypes.LZ4,
      messages: [{ key: 'k', value: 'x', partition: 0 }],
    });
    // A broker of today looks into compressed batches, and refuses this one; one that does not would store it.
    const stored = await sending.then(
      () => true,
      () => false,
    );
    registry[CompressionTypes.LZ4] = before;
    if (!stored) return;
    const from = await consume(on, orders);
    await expect(gather(from, 1)).rejects.toThrow(/lz4/);
    await from.close();
  });

  test('an address that is no broker, or tells of one that can not be reached, is an error that says so', async () => {
    await expect(adapter({ url: 'kafka://127.0.0.1:1' })).rejects.toThrow(/ECONNREFUSED/);
    const advertised = broker?.plain ?? '';
    const elsewhere = { [advertised]: '127.0.0.1:1' };
    await expect(
      adapter({ url: `kafka://localhost:${advertised.split(':')[1]}`, addresses: elsewhere, timeout: '1s' }),
    ).rejects.toThrow(new RegExp(`advertises ${advertised}`));
  });

  test('the option addresses says where to reach what is advertised', async () => {
    if (broker?.can.proxy !== true) return;
    const port = Number(broker.plain.split(':')[1]);
    const on = await adapter({
      url: 'kafka://kafka.internal:9092',
      addresses: { 'kafka.internal:9092': `127.0.0.1:${port}` },
    });
    const orders = await provisioned(on);
    const [outcome] = await on.publish(orders, [], never).then(() => [{ status: 'confirmed' }]);
    expect(outcome?.status).toBe('confirmed');
  });
}
