import { type Position, type StartPosition, WaybillError } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';

/** Offsets of a topic by partition. */
export type Offsets = ReadonlyMap<number, bigint>;

/** What `earliest`, `latest` (behind the last message that can be read) or a time is in each partition; -1 for none. */
export async function offsetsOf(
  connection: Connection,
  topic: string,
  to: 'earliest' | 'latest' | { readonly time: number },
): Promise<Offsets> {
  const timestamp = to === 'earliest' ? -2 : to === 'latest' ? -1 : Math.max(0, Math.ceil(to.time));
  const byLeader = new Map<number, { partition: number; timestamp: number }[]>();
  for (const { partition, leader } of await connection.leaders(topic)) {
    if (leader === null)
      throw new WaybillError('unavailable', `kafka: '${topic}' partition ${partition} has no leader`);
    const list = byLeader.get(leader) ?? [];
    byLeader.set(leader, list);
    list.push({ partition, timestamp });
  }
  const answers = [...byLeader].map(async ([leader, partitions]) => {
    const node = await connection.node(leader);
    const { responses } = await node.listOffsets({ replicaId: -1, isolationLevel: 1, topics: [{ topic, partitions }] });
    return responses.flatMap((one) => one.partitions);
  });
  try {
    return new Map((await Promise.all(answers)).flat().map(({ partition, offset }) => [partition, BigInt(offset)]));
  } catch (error) {
    await connection.leaders(topic, true).catch(() => undefined); // others may lead now
    throw error;
  }
}

/** The first offset to read in each partition. One that a position does not name begins with the oldest record. */
export async function startOffsets(connection: Connection, topic: string, start: StartPosition): Promise<Offsets> {
  if (start === 'held' || start === 'earliest') return offsetsOf(connection, topic, 'earliest');
  if (start === 'latest') return offsetsOf(connection, topic, 'latest');
  if ('time' in start) {
    const [found, latest] = await Promise.all([
      offsetsOf(connection, topic, start),
      offsetsOf(connection, topic, 'latest'),
    ]);
    // Nothing is that new: behind the last.
    return new Map(
      [...latest].map(([partition, end]) => [partition, at(found, partition) < 0n ? end : at(found, partition)]),
    );
  }
  const low = await offsetsOf(connection, topic, 'earliest');
  return new Map([...low].map(([partition, first]) => [partition, offsetIn(start.position, partition) ?? first]));
}

/** Whether a position says nothing of this partition, so that a reset leaves it where it is. */
export const isSilent = (start: StartPosition, partition: number): boolean =>
  typeof start !== 'string' && 'position' in start && !(String(partition) in start.position);

/** @throws WaybillError `invalid` for what is no position of this adapter */
export function offsetIn(position: Position, partition: number): bigint | null {
  const offset = position[partition];
  for (const name of Object.keys(position)) if (!/^\d{1,6}$/.test(name)) throw wrong(position);
  if (offset === undefined) return null;
  if (!/^\d{1,19}$/.test(offset)) throw wrong(position);
  return BigInt(offset);
}

const at = (offsets: Offsets, partition: number): bigint => offsets.get(partition) ?? -1n;

function wrong(position: Position): WaybillError {
  return new WaybillError(
    'invalid',
    `kafka: a position is { '<partition>': '<offset>' }, not ${JSON.stringify(position).slice(0, 80)}`,
  );
}
