import { gather, idsOf, message, messages, never, provisioned, topic } from '@waybill/conformance/requests';
import type { AdapterSubscription, Destination, OutgoingMessage, Output } from '@waybill/core/adapter';
import { expect, onTestFinished, test } from 'vitest';
import { Connection } from '../src/connection.ts';
import { typeOf } from '../src/errors.ts';
import { fetchStableOffsets, type Identity } from '../src/flexible.ts';
import { settingsOf } from '../src/options.ts';
import { Transactions } from '../src/transactions.ts';
import { adapter, broker, committed, consume } from './server.ts';

const outputs = (destination: Destination, all: readonly OutgoingMessage[]): Output[] =>
  all.map((one) => ({ destination, message: one }));

/** A producer of transactions beside any adapter. */
async function producing(orders: Destination, consumer: string, timeout = 60_000): Promise<[Transactions, Connection]> {
  const settings = settingsOf({ url: broker?.url ?? '', timeout: '5s' }, 'test');
  const connection = await Connection.open(settings, 'test', never);
  onTestFinished(() => connection.close());
  const producer = new Transactions({ connection, settings, groupId: `${orders.name}__g`, consumer, timeout });
  await producer.begin();
  return [producer, connection];
}

/** What a reader of the results is handed, once a message that was published last has come to it. */
async function readAll(from: AdapterSubscription, publishLast: () => Promise<unknown>): Promise<string[]> {
  await publishLast();
  const ids: string[] = [];
  while (!ids.includes('last')) ids.push(...idsOf(await gather(from, 1)));
  return ids.slice(0, -1);
}

export function transacting(): void {
  test('results and offsets are there together, in order, though they are many requests', async () => {
    const on = await adapter();
    const [orders, results] = [await provisioned(on, topic(1)), await provisioned(on, topic(1))];
    const [from, reader] = [await consume(on, orders, { transactional: true }), await consume(on, results)];
    await on.publish(orders, messages(6, { key: 'k', partition: 0 }), never);
    const deliveries = await gather(from, 6);
    const made: string[] = [];
    for (let at = 0; at < 6; at += 2) {
      // Two make a record batch each, which go one after the other, and their sequence numbers with them.
      const some = messages(3, { key: 'k', partition: 0, body: Buffer.alloc(600_000) });
      made.push(...idsOf(some));
      expect(await from.transact?.(outputs(results, some), [deliveries[at + 1]?.receipt])).toEqual(['ok']);
    }
    expect(idsOf(await gather(reader, 9))).toEqual(made);
    await expect.poll(() => committed(orders)).toEqual({ 0: '6' });
    await Promise.all([from.close(), reader.close()]);
  });

  test('the coordinator refuses offsets of a member that is none, and nobody reads the results', async () => {
    const on = await adapter();
    const [orders, results] = [await provisioned(on, topic(1)), await provisioned(on, topic(1))];
    const [from, reader] = [await consume(on, orders), await consume(on, results)];
    const [producer] = await producing(orders, 'zombie');
    const topics = [{ topic: orders.name, partitions: [{ partition: 0, offset: '1' }] }];
    const zombie: Identity = { groupId: `${orders.name}__g`, groupGenerationId: 1, memberId: 'was-here-once' };
    const attempt = producer.run(outputs(results, [message({ partition: 0 })]), async (send) => {
      await send(await (await producing(orders, 'other'))[1].coordinator(zombie.groupId), zombie, topics);
      return true;
    });
    await expect(attempt).rejects.toSatisfy((error) => typeOf(error) === 'UNKNOWN_MEMBER_ID');
    expect(await readAll(reader, () => on.publish(results, [message({ id: 'last', partition: 0 })], never))).toEqual(
      [],
    );
    expect(await committed(orders)).toEqual({ 0: '0' });
    await Promise.all([from.close(), reader.close()]);
  });

  test('offsets that an open transaction may change are told to nobody, until the next life has it decided', async () => {
    const on = await adapter();
    const [orders, results] = [await provisioned(on, topic(1)), await provisioned(on, topic(1))];
    const reader = await consume(on, results);
    const [killed] = await producing(orders, 'one');
    const groupId = `${orders.name}__g`;
    const topics = [{ topic: orders.name, partitions: [{ partition: 0, offset: '7' }] }];
    await new Promise<void>((resolve, reject) => {
      killed
        .run(outputs(results, [message({ partition: 0 })]), async (send) => {
          const [, connection] = await producing(orders, 'other');
          await send(await connection.coordinator(groupId), { groupId, groupGenerationId: -1, memberId: '' }, topics);
          resolve();
          return new Promise(() => {}); // it never comes to the end
        })
        .catch(reject);
    });
    const [, beside] = await producing(orders, 'two');
    const look = async (): Promise<unknown> => {
      const found = await fetchStableOffsets(await beside.coordinator(groupId), groupId, orders.name, [0]);
      return found.get(0);
    };
    await expect(look()).rejects.toSatisfy((error) => typeOf(error) === 'UNSTABLE_OFFSET_COMMIT');
    await producing(orders, 'one'); // the same consumer, come again
    expect(await look()).toBe(0n);
    expect(await readAll(reader, () => on.publish(results, [message({ id: 'last', partition: 0 })], never))).toEqual(
      [],
    );
    await reader.close();
  });

  test('a commit whose answer is lost is asked for again, and is one', async () => {
    const on = await adapter();
    const [orders, results] = [await provisioned(on, topic(1)), await provisioned(on, topic(1))];
    const reader = await consume(on, results);
    const [producer, connection] = await producing(orders, 'one');
    const groupId = `${orders.name}__g`;
    const node = await connection.coordinator(`${groupId}__one`, 'transactions');
    const { endTxn } = node;
    let asked = 0;
    Object.assign(node, {
      endTxn: async (...request: Parameters<typeof endTxn>) => {
        const answer = await endTxn.apply(node, request);
        if (++asked > 1) return answer;
        throw Object.assign(new Error('closed'), { name: 'KafkaJSConnectionClosedError' });
      },
    });
    const topics = [{ topic: orders.name, partitions: [{ partition: 0, offset: '3' }] }];
    const identity = { groupId, groupGenerationId: -1, memberId: '' };
    for (const id of ['first', 'second']) {
      const done = await producer.run(outputs(results, [message({ id, partition: 0 })]), async (send) => {
        await send(await connection.coordinator(groupId), identity, topics);
        return true;
      });
      expect(done).toBe(true);
    }
    expect(asked).toBe(3);
    const publishLast = (): Promise<unknown> => on.publish(results, [message({ id: 'last', partition: 0 })], never);
    expect(await readAll(reader, publishLast)).toEqual(['first', 'second']);
    await expect.poll(() => committed(orders)).toEqual({ 0: '3' });
    await reader.close();
  });
}
