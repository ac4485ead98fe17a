import { gather, idsOf, message, messages, never, provisioned, topic, until } from '@waybill/conformance/requests';
import { expect, test, vi } from 'vitest';
import { adapter, admin, committed, consume, producer, raw, removeBefore } from './server.ts';

export function consuming(): void {
  test('a graceful end leaves the last ack committed, and nothing comes again', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    await on.publish(orders, messages(10, { key: 'k', partition: 0 }), never);
    const first = await consume(on, orders);
    const got = await gather(first, 10);
    await first.ack([got[6]?.receipt]);
    await first.close();
    expect((await committed(orders))[0]).toBe('7');
    const second = await consume(on, orders);
    expect(idsOf(await gather(second, 3))).toEqual(idsOf(got.slice(7)));
    await second.close();
  });

  test('a receive that waits is answered with nothing at a close, and refused after it', async () => {
    const on = await adapter();
    const from = await consume(on, await provisioned(on));
    const waiting = from.receive(10, never);
    await from.close();
    expect(await waiting).toEqual([]);
    await expect(from.receive(10, never)).rejects.toThrow(/closed/);
  });

  test('a commit never goes back, and a receipt of a former life settles nothing', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    await on.publish(orders, messages(6, { key: 'k', partition: 0 }), never);
    const from = await consume(on, orders);
    const got = await gather(from, 6);
    await from.ack([got[4]?.receipt]);
    await from.ack([got[1]?.receipt]);
    expect((await committed(orders))[0]).toBe('5');
    await from.seek?.({ position: { 0: '2' } });
    await from.ack([got[5]?.receipt]);
    expect((await committed(orders))[0]).toBe('2');
    const again = await gather(from, 4);
    expect(idsOf(again)).toEqual(idsOf(got.slice(2)));
    await from.ack([again[3]?.receipt]);
    expect((await committed(orders))[0]).toBe('6');
    await from.close();
  });

  test('partitions that are left out hold up no other', async () => {
    const on = await adapter({ fetchBytes: 65_536 });
    const orders = await provisioned(on, topic(2));
    const body = Buffer.alloc(10_000);
    await on.publish(orders, messages(30, { key: 'a', partition: 0, body }), never);
    const from = await consume(on, orders);
    await gather(from, 1);
    await on.publish(orders, messages(30, { key: 'b', partition: 1, body }), never);
    let others = 0;
    await until(async () => {
      others += (await from.receive(10, never, new Set([0]))).length;
      return others === 30;
    });
    expect((await gather(from, 29)).every(({ partition }) => partition === 0)).toBe(true);
    await from.close();
  });

  test('a handler of any length keeps its partitions: no heartbeat waits for it', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    await on.publish(orders, messages(1, { key: 'k', partition: 0 }), never);
    const onLost = vi.fn<(partitions: readonly number[]) => void>();
    const onRevoked = vi.fn<(partitions: readonly number[]) => Promise<void>>(() => Promise.resolve());
    const from = await consume(on, orders, { onLost, onRevoked, lease: 600 });
    const [held] = await gather(from, 1);
    const since = Date.now();
    await until(() => Date.now() - since > 6 * 600);
    await from.ack([held?.receipt]);
    expect([onLost.mock.calls, onRevoked.mock.calls]).toEqual([[], []]);
    expect((await committed(orders))[0]).toBe('1');
    await from.close();
  });

  test('what was deleted before it was read is jumped over, with a warning, or ends the subscription', async () => {
    const on = await adapter();
    const strict = await adapter({ onOutOfRange: 'fail' });
    const orders = await provisioned(on, topic(1), { groups: ['g', 'h'] });
    await on.publish(orders, messages(10, { key: 'k', partition: 0 }), never);
    await removeBefore(orders, '6');
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const from = await consume(on, orders);
    expect((await gather(from, 4)).map(({ position }) => position?.['0'])).toEqual(['6', '7', '8', '9']);
    expect(String(warned.mock.calls[0]?.[0])).toMatch(/was to read .* from offset 0/);
    warned.mockRestore();
    expect((await committed(orders))[0]).toBe('6');
    await from.close();
    const failing = await consume(strict, orders, { group: 'h' });
    await expect(gather(failing, 1)).rejects.toThrow(/from offset 0, which is not there/);
    await failing.close();
  });

  test('a message larger than a fetch comes, beside partitions that have much', async () => {
    const on = await adapter({ fetchBytes: 65_536 });
    const orders = await provisioned(on, topic(2));
    const large = message({ key: 'b', partition: 1, body: Buffer.alloc(900_000) });
    await on.publish(orders, messages(100, { key: 'a', partition: 0, body: Buffer.alloc(5_000) }), never);
    await on.publish(orders, [large], never);
    const from = await consume(on, orders);
    const got = await gather(from, 101);
    expect(got).toHaveLength(101);
    expect(idsOf(got)).toContain(large.id);
    await from.close();
  });

  test('what a transaction leaves behind its messages is settled with them, and aborted ones are not delivered', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(1));
    const transactional = raw.producer({ transactionalId: orders.name, idempotent: true, maxInFlightRequests: 1 });
    await transactional.connect();
    for (const end of ['abort', 'commit'] as const) {
      const transaction = await transactional.transaction();
      await transaction.send({ topic: orders.name, messages: [{ key: 'k', value: end, partition: 0 }] });
      await transaction[end]();
    }
    await transactional.disconnect();
    const from = await consume(on, orders);
    const got = await gather(from, 1);
    expect(got.map(({ body }) => Buffer.from(body).toString())).toEqual(['commit']);
    await from.ack([got[0]?.receipt]);
    await until(async () => (await on.lag?.(orders, 'g', null))?.count === 0);
    await from.close();
  });

  test('a replay ends at what was stored when it began, and takes a time or a position', async () => {
    const on = await adapter();
    const orders = await provisioned(on, topic(2));
    const sent = [0, 1].flatMap((partition) => messages(5, { key: `${partition}`, partition }));
    await on.publish(orders, sent, never);
    const replayed = async (start: Parameters<typeof consume>[2]): Promise<number> => {
      const from = await consume(on, orders, { bounded: true, inbox: null, group: 'replay', ...start });
      await producer.send({ topic: orders.name, messages: [{ key: 'late', value: 'x', partition: 0 }] });
      let count = 0;
      while (from.ended !== true) count += (await from.receive(100, never)).length;
      await from.close();
      return count;
    };
    expect(await replayed({ start: { position: { 0: '4', 1: '2' } } })).toBe(4);
    expect(await replayed({ start: { time: Date.now() + 60_000 } })).toBe(0);
    expect(await replayed({ start: 'earliest' })).toBe(12);
    expect((await admin.listGroups()).groups.some(({ groupId }) => groupId.includes('replay'))).toBe(false);
  });
}
