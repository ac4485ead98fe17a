import { murmur2 } from './murmur2.ts';

/*
 * Who should hold which partition. Every instance computes the same answer from the list of members alone. Safety does
 * not depend on it: that comes from the broker (single active consumer, fenced lease).
 */

/**
 * How strongly a member is drawn to a partition, 0 to 2³¹ − 1: highest random weight. It depends on nothing else, so a
 * broker with consumer priorities can spread partitions without any list of members.
 */
export function rank(member: string, partition: number): number {
  return murmur2(`${partition}:${member}`) & 0x7fffffff;
}

/**
 * Gives each partition from 0 to `partitions - 1` to one of the members: to the one of highest rank that is not full.
 * Counts differ by at most one. A join or leave moves about a fifth more partitions than it must.
 *
 * Cost: members × partitions × log. Members may come in any order, repeated ones count once.
 */
export function assign(members: readonly string[], partitions: number): Map<string, number[]> {
  const assignment = new Map<string, number[]>();
  for (const member of members.toSorted()) assignment.set(member, []);
  if (assignment.size === 0) return assignment;

  const least = Math.floor(partitions / assignment.size);
  let withOneMore = partitions % assignment.size;
  const bids: { held: number[]; partition: number; rank: number }[] = [];
  for (const [member, held] of assignment) {
    for (let partition = 0; partition < partitions; partition++) {
      bids.push({ held, partition, rank: rank(member, partition) });
    }
  }
  bids.sort((a, b) => b.rank - a.rank); // stable: equal ranks stay in the order of members and partitions

  const given = new Set<number>();
  for (const { held, partition } of bids) {
    const room = held.length < least || (held.length === least && withOneMore > 0);
    if (!room || given.has(partition)) continue;
    if (held.length === least) withOneMore--;
    held.push(partition);
    given.add(partition);
  }
  for (const held of assignment.values()) held.sort((a, b) => a - b);
  return assignment;
}

/** The partitions of one member; none if it is not among the members. */
export function wanted(me: string, members: readonly string[], partitions: number): number[] {
  return assign(members, partitions).get(me) ?? [];
}
