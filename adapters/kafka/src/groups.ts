import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, type StartPosition, WaybillError } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { typeOf } from './errors.ts';
import { fetchStableOffsets } from './flexible.ts';
import { isSilent, type Offsets, startOffsets } from './positions.ts';

/** Between two looks at offsets that a transaction may still change. */
const UNDECIDED = 50;

/** The topic's name at the broker. */
export const topicOf = ({ address, name }: Pick<Destination, 'address' | 'name'>): string => address ?? name;

/**
 * The group's id at the broker. It names the topic, too: members of one Kafka group must read the same topics.
 *
 * @param address The existing group to use instead.
 */
export const groupIdOf = (destination: Destination, group: string, address: string | null): string =>
  address ?? `${destination.name}__${group}`;

/** What a group has committed; a partition of which it has nothing is left out. */
export async function committedOffsets(connection: Connection, groupId: string, topic: string): Promise<Offsets> {
  const partitions = (await connection.leaders(topic)).map(({ partition }) => ({ partition }));
  const { responses } = await connection.askCoordinator(groupId, (node) =>
    node.offsetFetch({ groupId, topics: [{ topic, partitions }] }),
  );
  const found = responses.flatMap((one) => one.partitions).map((one) => [one.partition, BigInt(one.offset)] as const);
  return new Map(found.filter(([, offset]) => offset >= 0n));
}

/**
 * The same, once every transaction that would change it is decided: one that a killed member has left open is aborted by
 * the broker when its time is over. Waits for that as long as `wanted`.
 */
export async function stableOffsets(
  connection: Connection,
  groupId: string,
  topic: string,
  wanted: () => boolean,
): Promise<Offsets> {
  const partitions = (await connection.leaders(topic)).map(({ partition }) => partition);
  for (;;) {
    try {
      const found = await connection.askCoordinator(groupId, (node) =>
        fetchStableOffsets(node, groupId, topic, partitions),
      );
      return new Map([...found].filter(([, offset]) => offset >= 0n));
    } catch (error) {
      if (typeOf(error) !== 'UNSTABLE_OFFSET_COMMIT' || !wanted()) throw error;
      await sleep(UNDECIDED);
    }
  }
}

/** Commits for a group that nobody is in. @throws the client's UNKNOWN_MEMBER_ID when somebody is */
async function commitFor(connection: Connection, groupId: string, topic: string, offsets: Offsets): Promise<void> {
  if (offsets.size === 0) return;
  const partitions = [...offsets].map(([partition, offset]) => ({ partition, offset: String(offset) }));
  const topics = [{ topic, partitions }];
  await connection.askCoordinator(groupId, (node) =>
    node.offsetCommit({ groupId, groupGenerationId: -1, memberId: '', topics }),
  );
}

/** Gives a new group its place, so that it is known, and has one before anybody reads. */
export async function placeGroup(
  connection: Connection,
  groupId: string,
  topic: string,
  start: StartPosition,
): Promise<void> {
  const committed = await committedOffsets(connection, groupId, topic);
  if (committed.size === (await connection.leaders(topic)).length) return;
  // Partitions that the topic was given since are read from their first record, wherever the group had begun.
  const from = committed.size > 0 ? 'held' : start;
  const wanted = [...(await startOffsets(connection, topic, from))].filter(([partition]) => !committed.has(partition));
  try {
    await commitFor(connection, groupId, topic, new Map(wanted));
  } catch (error) {
    if (!isInUse(error)) throw error; // who is in it has placed it
  }
}

/** Moves a stopped group. @throws WaybillError `invalid` when it runs */
export async function resetGroup(
  connection: Connection,
  groupId: string,
  topic: string,
  to: StartPosition,
): Promise<void> {
  const running = async (): Promise<WaybillError> => {
    const { groups } = await connection.askCoordinator(groupId, (node) => node.describeGroups({ groupIds: [groupId] }));
    const members = (groups[0]?.members ?? []).map(({ memberId }) => memberId).join(', ');
    return new WaybillError('invalid', `kafka: group '${groupId}' is running (${members}); stop it first`);
  };
  const wanted = [...(await startOffsets(connection, topic, to))].filter(([partition]) => !isSilent(to, partition));
  try {
    await commitFor(connection, groupId, topic, new Map(wanted));
  } catch (error) {
    throw isInUse(error) ? await running() : error;
  }
}

/** How the coordinator refuses a commit from outside: the group has members, or is about to. */
function isInUse(error: unknown): boolean {
  return ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS', 'NON_EMPTY_GROUP'].includes(
    typeOf(error),
  );
}
