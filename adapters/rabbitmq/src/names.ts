import { type Destination, WaybillError } from '@waybill/core/adapter';

/** A queue that a group reads, and the unit of order that it is. */
export interface GroupQueue {
  readonly queue: string;
  readonly partition: number;
}

/** The exchange that a destination is published to. */
export const exchangeOf = ({ address, name }: Destination): string => address ?? name;

/** Reaches this group only. */
export const inboxOf = (topic: string, group: string): string => `${topic}__${group}__retry`;

export const deadLettersOf = (topic: string, group: string): string => `${topic}__${group}__dlq`;

/** Never bound: its length limit records the partition count (O7). No group can have this name. */
export const countOf = (topic: string): string => `${topic}__0`;

/** An exchange that nothing is bound to: it says that the topic has, or once had, a group. */
export const groupsOf = (topic: string): string => `${topic}__0`;

/** The queues of a group, in the order of their partitions. @throws WaybillError `unsupported` for an ordered address */
export function queuesOf(destination: Destination, group: string, address: string | null): readonly GroupQueue[] {
  const { kind, name, topic, partitions } = destination;
  if (kind === 'dead-letter') return [{ queue: name, partition: 0 }];
  if (partitions === null) return [{ queue: address ?? `${topic}__${group}`, partition: 0 }];
  if (address !== null)
    throw new WaybillError(
      'unsupported',
      `rabbitmq: '${topic}' is ordered, so its group '${group}' has ${partitions} queues, which the address '${address}' can't name`,
    );
  return Array.from({ length: partitions }, (_, partition) => ({
    queue: `${topic}__${group}__${partitions}__${partition}`,
    partition,
  }));
}

/**
 * What a message is routed by: `12.3` and its type where the topic has partitions, else its type, else `-`. Groups take
 * all of it; the type is there for queues that other programs bind.
 */
export function routingKey(partitions: number | null, partition: number | null, type: string | null): string {
  if (partitions === null) return isRoutable(type) ? type : '-';
  const place = `${partitions}.${partition ?? 0}`;
  return isRoutable(type) ? `${place}.${type}` : place;
}

/** A routing key has at most 255 bytes, and a type that is a place would be taken for one. */
function isRoutable(type: string | null): type is string {
  return type !== null && type !== '' && type.length <= 60 && !/^\d/.test(type);
}

/** Binds a queue to the messages of its partition, whatever their type. */
export const partitionPattern = (partitions: number | null, partition: number): string =>
  partitions === null ? '#' : `${partitions}.${partition}.#`;
