import { type BrowsedMessage, type Destination, type Lag, WaybillError } from '@waybill/core/adapter';
import type { Connection } from './connection.ts';
import { envelopeOf } from './message.ts';
import { queuesOf } from './names.ts';

/** What waits in the group's queues, as the server knows it, which may be seconds old. */
export async function lagOf(
  connection: Connection,
  destination: Destination,
  group: string,
  address: string | null,
  unsettled: number,
): Promise<Lag> {
  const queues = queuesOf(destination, group, address);
  const counts = await connection.aside(async (channel) => {
    const found: number[] = [];
    for (const { queue } of queues) found.push((await channel.checkQueue(queue)).messageCount);
    return found;
  });
  return { count: counts.reduce((sum, count) => sum + count, unsettled), age: null, exact: false };
}

/** Takes them for a moment: when the channel closes all are back in their places. */
export async function browseQueue(
  connection: Connection,
  destination: Destination,
  max: number,
): Promise<readonly BrowsedMessage[]> {
  if (destination.kind !== 'dead-letter')
    throw new WaybillError(
      'unsupported',
      `rabbitmq: only dead letters can be looked at; '${destination.name}' is an exchange, which keeps nothing`,
    );
  return connection.aside(async (channel) => {
    const found: BrowsedMessage[] = [];
    while (found.length < max) {
      const message = await channel.get(destination.name);
      if (message === false) break;
      found.push({ ...envelopeOf(message), position: null, partition: 0 });
    }
    return found;
  });
}
