import {
  type BrowsedMessage,
  type Destination,
  envelopeOf,
  type Lag,
  type Position,
  WaybillError,
} from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { committedOffsets, groupIdOf, topicOf } from './groups.ts';
import { classify } from './errors.ts';
import { offsetIn, type Offsets, offsetsOf } from './positions.ts';
import { Stream } from './stream.ts';

/** Wait of a fetch of what is known to be there. */
const WAIT = 100;
const BYTES = 1024 * 1024;
/** Of every dead-letter topic: who redrives and purges. */
const DEAD_LETTER_GROUP = 'dlq';

/** Published for the group and not settled, in the topic and in the group's inbox. */
export async function lagOf(
  connection: Connection,
  destination: Destination,
  group: string,
  address: string | null,
): Promise<Lag> {
  const groupId = groupIdOf(destination, group, address);
  const topic = topicOf(destination);
  if ((await committedOffsets(connection, groupId, topic)).size === 0)
    throw new WaybillError('not-found', `kafka: '${topic}' has no group '${groupId}'`);
  const own = await lagOfTopic(connection, topic, groupId);
  let inbox: Lag | null = null;
  if (destination.kind === 'topic')
    inbox = await lagOfTopic(connection, `${destination.topic}__${group}__retry`, groupId).catch((error: unknown) => {
      if (classify(error) === 'not-found') return null;
      throw error;
    });
  const ages = [own.age, inbox?.age ?? null].filter((age) => age !== null);
  return {
    count: own.count + (inbox?.count ?? 0),
    age: ages.length === 0 ? null : Math.max(...ages),
    exact: true,
  };
}

async function lagOfTopic(connection: Connection, topic: string, groupId: string): Promise<Lag> {
  const [committed, low, high] = await Promise.all([
    committedOffsets(connection, groupId, topic),
    offsetsOf(connection, topic, 'earliest'),
    offsetsOf(connection, topic, 'latest'),
  ]);
  let count = 0n;
  const behind: [partition: number, offset: bigint][] = [];
  for (const [partition, end] of high) {
    const first = low.get(partition) ?? 0n;
    const settled = committed.get(partition) ?? first;
    const from = settled < first ? first : settled;
    if (from >= end) continue;
    count += end - from;
    behind.push([partition, from]);
  }
  const times = await Promise.all(behind.map(([partition, from]) => timeAt(connection, topic, partition, from)));
  const known = times.filter((time) => time !== null);
  return {
    count: Number(count),
    age: known.length === 0 ? null : Math.max(0, Date.now() - Math.min(...known)),
    exact: true,
  };
}

/** Partition after partition, from a message of one of them on; of dead letters only those that are not settled. */
export async function browseTopic(
  connection: Connection,
  destination: Destination,
  from: Position | null,
  max: number,
): Promise<readonly BrowsedMessage[]> {
  const topic = topicOf(destination);
  const [low, high] = await Promise.all([
    offsetsOf(connection, topic, 'earliest'),
    offsetsOf(connection, topic, 'latest'),
  ]);
  const settled =
    destination.kind === 'dead-letter'
      ? await committedOffsets(connection, groupIdOf(destination, DEAD_LETTER_GROUP, null), topic)
      : null;
  const firstPartition = from === null ? 0 : Number(Object.keys(from)[0] ?? 0);
  const found: BrowsedMessage[] = [];
  for (const [partition, end] of [...high].toSorted(([a], [b]) => a - b)) {
    if (partition < firstPartition || found.length >= max) continue;
    const first = settled?.get(partition) ?? low.get(partition) ?? 0n;
    const start = (from === null ? null : offsetIn(from, partition)) ?? first;
    for (const delivery of await read(connection, topic, { partition, from: start, end }, max - found.length))
      found.push({ ...envelopeOf(delivery), position: delivery.position, partition });
  }
  return found;
}

/** Since when everything is held: the oldest record of partitions from which some were removed. */
export async function oldestOf(connection: Connection, destination: Destination): Promise<number | null> {
  const topic = topicOf(destination);
  const [low, high] = await Promise.all([
    offsetsOf(connection, topic, 'earliest'),
    offsetsOf(connection, topic, 'latest'),
  ]);
  const removed = [...low].filter(([, offset]) => offset > 0n);
  const times = await Promise.all(
    removed.map(async ([partition, offset]) =>
      offset < (high.get(partition) ?? 0n) ? timeAt(connection, topic, partition, offset) : Date.now(),
    ),
  );
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** When the first message from an offset on was published; null where there is none that can be read. */
async function timeAt(connection: Connection, topic: string, partition: number, from: bigint): Promise<number | null> {
  const end: Offsets = await offsetsOf(connection, topic, 'latest');
  const [first] = await read(connection, topic, { partition, from, end: end.get(partition) ?? from }, 1);
  return first?.time ?? null;
}

async function read(
  connection: Connection,
  topic: string,
  { partition, from, end }: { partition: number; from: bigint; end: bigint },
  max: number,
): Promise<ReturnType<Stream['takeAll']>> {
  const stream = new Stream({ topic, partition, origin: 'topic', from, end });
  const found: ReturnType<Stream['takeAll']> = [];
  while (found.length < max && !stream.ended) {
    const leader = (await connection.leaders(topic)).find((one) => one.partition === partition)?.leader;
    const node = leader === null || leader === undefined ? await connection.anyNode() : await connection.node(leader);
    const { responses } = await node.fetch({
      isolationLevel: 1,
      maxWaitTime: WAIT,
      minBytes: 1,
      maxBytes: BYTES,
      topics: [{ topic, partitions: [{ partition, fetchOffset: String(stream.position), maxBytes: BYTES }] }],
    });
    let moved = false;
    for (const one of responses.flatMap(({ partitions }) => partitions)) moved = stream.add(one);
    found.push(...stream.takeAll(max - found.length));
    if (!moved && !stream.starved) break;
  }
  return found;
}
