import {
  type BrowsedMessage,
  type Destination,
  type Lag,
  type Position,
  type StartPosition,
  WaybillError,
} from '@waybill/core/adapter';
import type { Client } from './connection.ts';
import { envelopeOf, timeOf } from './entry.ts';
import type { Layout, StreamKeys } from './keys.ts';
import { RESET_PARTITION } from './ordered-scripts.ts';
import { before, idOf, isSilent } from './positions.ts';
import { run } from './scripts.ts';
import { LAG, OLDEST, RESET } from './topic-scripts.ts';

/** A consumer that has shown no life for so long is gone. It shows some every two seconds. */
const LIVE = 10_000;
/** Where the server doesn't know how many were not delivered: counted up to this. */
const LAG_CAP = 10_000;

/** Published for the group and not settled, in the topic and in the group's inbox. */
export async function lagOf(
  client: Client,
  layout: Layout,
  destination: Destination,
  group: string,
  groupName: string,
): Promise<Lag> {
  const inbox: Destination = { ...destination, kind: 'inbox', name: '', group, address: null };
  const [topics, inboxes] = await Promise.all(
    [layout.streams(destination), layout.streams(inbox)].map((all) =>
      Promise.all(all.map((keys) => lagOfStream(client, keys, groupName))),
    ),
  );
  if (topics === undefined || topics.includes(null))
    throw new WaybillError('not-found', `redis: '${destination.name}' has no group '${groupName}'`);
  const found = [...topics, ...(inboxes ?? [])].filter((one) => one !== null);
  const ages = found.map(({ age }) => age).filter((age) => age !== null);
  return {
    count: found.reduce((sum, { count }) => sum + count, 0),
    age: ages.length === 0 ? null : Math.max(...ages),
    exact: found.every(({ exact }) => exact),
  };
}

async function lagOfStream(client: Client, keys: StreamKeys, group: string): Promise<Lag | null> {
  const reply = await run<[number, number, number, number, Buffer, number, number]>(
    client,
    LAG,
    [keys.stream, keys.due],
    [group, LAG_CAP],
  );
  const [there, undelivered, pending, due, oldest, capped, now] = reply;
  if (there === 0) return null;
  const age = oldest.length === 0 ? null : Math.max(0, now - timeOf(oldest.toString()));
  return { count: undelivered + pending + due, age, exact: capped === 0 };
}

/** Moves a stopped group. @throws WaybillError `invalid` when it runs */
export async function resetGroup(
  client: Client,
  layout: Layout,
  destination: Destination,
  group: string,
  to: StartPosition,
): Promise<void> {
  const running = (by: string): WaybillError =>
    new WaybillError('invalid', `redis: group '${group}' of '${destination.name}' is running (${by}); stop it first`);
  const members = layout.members(destination, group);
  if (destination.partitions === null) {
    const { stream } = layout.stream(destination, 0);
    const done = String(await run<Buffer>(client, RESET, [stream, members], [group, before(to), LIVE]));
    if (done !== 'moved') throw running(done);
    return;
  }
  const leases = layout.streams(destination).map(({ stream }, partition) => ({
    partition,
    stream,
    lease: layout.lease(destination, partition, group).lease,
  }));
  const held = await Promise.all(leases.map(({ lease }) => client.get(lease)));
  const owner = held.find((value) => value !== null);
  if (owner !== undefined && owner !== null) throw running(owner);
  for (const { partition, stream, lease } of leases) {
    if (isSilent(to, partition)) continue;
    const done = String(await run<Buffer>(client, RESET_PARTITION, [lease, stream], [group, before(to, partition)]));
    if (done !== 'moved') throw running(done);
  }
}

/** Partition after partition, from an entry of one of them on. */
export async function browseTopic(
  client: Client,
  layout: Layout,
  destination: Destination,
  from: Position | null,
  max: number,
): Promise<readonly BrowsedMessage[]> {
  const first = Number(from === null ? 0 : (Object.keys(from)[0] ?? 0));
  const found: BrowsedMessage[] = [];
  for (const [partition, { stream }] of layout.streams(destination).entries()) {
    if (partition < first || found.length >= max) continue;
    const start = from === null || partition > first ? '-' : idOf(from, partition);
    for (const [bytes, fields] of await client.xrangeBuffer(stream, start, '+', 'COUNT', max - found.length)) {
      const id = bytes.toString();
      found.push({ ...envelopeOf(id, fields), position: { [partition]: id }, partition });
    }
  }
  return found;
}

/** Since when everything is held: in each partition since what was removed last. */
export async function oldestOf(client: Client, layout: Layout, destination: Destination): Promise<number | null> {
  const since = await Promise.all(
    layout.streams(destination).map(({ stream }) => run<Buffer>(client, OLDEST, [stream], [])),
  );
  const times = since
    .map(String)
    .filter((id) => id !== '')
    .map(timeOf);
  return times.length === 0 ? null : Math.max(...times);
}
