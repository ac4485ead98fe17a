import { Buffer } from 'node:buffer';
import { assign } from '@waybill/core/adapter';
import { AssignerProtocol } from 'kafkajs';

/*
 * Who reads which partitions, as the group's leader decides it. Partition i of all topics goes to one member, so that an
 * inbox has the owner of its topic. Core's rule says who should have what; a partition that somebody else still has is
 * given to nobody, until that member has finished with it and joins again: then nobody stops who keeps what it has.
 */

/** The name of this protocol in the group. Members that offer no such protocol can't join. */
export const PROTOCOL = 'waybill';
const VERSION = 0;

/** What a member says of itself when it joins: the topics it reads, and the partitions it has not let go of. */
export function encodeMember(topics: readonly string[], claims: readonly number[]): Buffer {
  const userData = Buffer.from(JSON.stringify({ claims }));
  return AssignerProtocol.MemberMetadata.encode({ version: VERSION, topics: [...topics], userData });
}

export interface Member {
  readonly id: string;
  readonly topics: readonly string[];
  readonly claims: readonly number[];
}

export function decodeMember(id: string, metadata: Buffer): Member {
  const decoded = AssignerProtocol.MemberMetadata.decode(metadata);
  let claims: unknown;
  try {
    ({ claims } = JSON.parse(decoded?.userData.toString() ?? '') as { claims?: unknown });
  } catch {
    claims = [];
  }
  return {
    id,
    topics: decoded?.topics ?? [],
    claims: Array.isArray(claims) ? claims.filter((one): one is number => Number.isInteger(one)) : [],
  };
}

/** The partition numbers of each member, of `count` in all. */
export function distribute(members: readonly Member[], count: number): Map<string, number[]> {
  const wanted = assign(
    members.map(({ id }) => id),
    count,
  );
  const claimed = new Map<number, string>();
  for (const { id, claims } of members) for (const partition of claims) claimed.set(partition, id);
  for (const [id, partitions] of wanted)
    wanted.set(
      id,
      partitions.filter((partition) => (claimed.get(partition) ?? id) === id),
    );
  return wanted;
}

/** @param counts The topics, and how many partitions each has. */
export function encodeAssignment(partitions: readonly number[], counts: ReadonlyMap<string, number>): Buffer {
  const assignment = Object.fromEntries(
    [...counts].map(([topic, count]) => [topic, partitions.filter((partition) => partition < count)]),
  );
  return AssignerProtocol.MemberAssignment.encode({ version: VERSION, assignment, userData: Buffer.alloc(0) });
}

export function decodeAssignment(bytes: Buffer): number[] {
  const partitions = Object.values(AssignerProtocol.MemberAssignment.decode(bytes)?.assignment ?? {}).flat();
  return [...new Set(partitions)].toSorted((a, b) => a - b);
}
