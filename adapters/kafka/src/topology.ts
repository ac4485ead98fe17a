import { setTimeout as sleep } from 'node:timers/promises';
import { type Destination, type ProvisionSpec, WaybillError } from '@waybill/core/adapter';
import type { Connection, Leaders } from './connection.ts';
import { classify, otherCount, typeOf } from './errors.ts';
import { groupIdOf, placeGroup, topicOf } from './groups.ts';
import type { Settings } from './options.ts';
import { offsetsOf } from './positions.ts';

/** Between looks at a topic that is being made, and how long it may take: a controller with much to do is slow to tell. */
const PAUSE = 50;
const MAKING = 60_000;
const DAY = 86_400_000;

interface Wanted {
  readonly topic: string;
  readonly partitions: number;
  /** `retention.ms`; -1: for ever. */
  readonly retention: number;
}

/** Makes topics and places groups, or says what is missing or different. It never alters what is there. */
export async function provision(connection: Connection, settings: Settings, spec: ProvisionSpec): Promise<void> {
  const { topology, destination, retention, groups } = spec;
  const topic = topicOf(destination);
  if (topology === 'none') {
    await checkCount(connection, destination);
    return;
  }
  const create = topology === 'create';
  const kept = retention ?? settings.retention;
  const partitions = destination.kind === 'dead-letter' ? 1 : (destination.partitions ?? settings.partitions);
  const lasting = destination.kind === 'dead-letter' || kept === 0 ? -1 : kept;
  const leaders = await ensure(connection, settings, { topic, partitions, retention: lasting }, create);
  if (destination.partitions !== null && leaders.length !== destination.partitions)
    throw otherCount(destination.name, leaders.length, destination.partitions);
  await checkConfig(connection, settings, topic, leaders, retention === 0 ? -1 : retention);
  for (const { group, address, start, inbox } of groups) {
    if (inbox !== null) {
      // What waits here for its time must not be deleted before it; and there is an inbox partition for each of the topic.
      const inboxRetention = lasting < 0 ? -1 : Math.max(lasting, settings.retention, 7 * DAY);
      const wanted = { topic: topicOf(inbox), partitions: leaders.length, retention: inboxRetention };
      await ensure(connection, settings, wanted, create);
    }
    await placeGroup(connection, groupIdOf(destination, group, address), topic, start);
  }
}

/** @throws WaybillError `invalid` where the topic has another number of partitions than is configured (O7) */
export async function checkCount(connection: Connection, destination: Destination): Promise<Leaders | null> {
  try {
    const leaders = await connection.leaders(topicOf(destination));
    const { partitions, name } = destination;
    if (partitions !== null && leaders.length !== partitions) throw otherCount(name, leaders.length, partitions);
    return leaders;
  } catch (error) {
    if (classify(error) === 'not-found') return null;
    throw error;
  }
}

async function ensure(connection: Connection, settings: Settings, wanted: Wanted, create: boolean): Promise<Leaders> {
  const found = await existing(connection, wanted.topic, !create);
  if (found !== null) return found;
  if (!create) throw new WaybillError('not-found', `kafka: the topic '${wanted.topic}' does not exist`);
  const { topic, partitions, retention } = wanted;
  const controller = await controllerOf(connection);
  try {
    await controller.createTopics({
      timeout: settings.timeout,
      topics: [
        {
          topic,
          numPartitions: partitions,
          replicationFactor: settings.replicas,
          configEntries: [
            { name: 'retention.ms', value: String(retention) },
            { name: 'max.message.bytes', value: String(settings.maxMessageBytes) },
            ...(settings.durability === 'replicated' ? [{ name: 'min.insync.replicas', value: '2' }] : []),
          ],
        },
      ],
    });
  } catch (error) {
    if (!isThere(error)) throw error;
  }
  for (const end = performance.now() + MAKING; performance.now() < end;) {
    const leaders = await existing(connection, topic, true);
    if (leaders?.every(({ leader }) => leader !== null) === true && (await isServed(connection, topic))) return leaders;
    await sleep(PAUSE);
  }
  throw new WaybillError('unavailable', `kafka: the topic '${topic}' was made, and has no leaders yet`);
}

/** A broker may be told that it leads a partition after everybody else was. */
async function isServed(connection: Connection, topic: string): Promise<boolean> {
  try {
    await offsetsOf(connection, topic, 'latest');
    return true;
  } catch (error) {
    if (['unavailable', 'not-found'].includes(classify(error))) return false;
    throw error;
  }
}

/** The topic as the cluster knows it now; null where it does not. */
async function existing(connection: Connection, topic: string, fresh: boolean): Promise<Leaders | null> {
  try {
    return await connection.leaders(topic, fresh);
  } catch (error) {
    if (classify(error) === 'not-found' || typeOf(error) === 'LEADER_NOT_AVAILABLE') return null;
    throw error;
  }
}

/** Any broker passes it on to the controller, which may be known by the number of a broker that has gone. */
async function controllerOf(connection: Connection): ReturnType<Connection['anyNode']> {
  try {
    return await connection.brokers.findControllerBroker();
  } catch {
    return connection.anyNode();
  }
}

/** Another process has made it meanwhile. */
function isThere(error: unknown): boolean {
  if (typeOf(error) === 'TOPIC_ALREADY_EXISTS') return true;
  const { errors } = error as { errors?: readonly unknown[] };
  return Array.isArray(errors) && errors.length > 0 && errors.every((one) => typeOf(one) === 'TOPIC_ALREADY_EXISTS');
}

/** @throws WaybillError where the topic keeps less than the manifest says, or another time than was asked for */
async function checkConfig(
  connection: Connection,
  settings: Settings,
  topic: string,
  leaders: Leaders,
  retention: number | null,
): Promise<void> {
  const { durability, maxMessageBytes } = settings;
  const replicated = durability === 'replicated';
  let config: ReadonlyMap<string, string | null>;
  try {
    const node = await connection.anyNode();
    const { resources } = await node.describeConfigs({ resources: [{ type: 2, name: topic }] });
    config = new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
  } catch (error) {
    if (classify(error) !== 'denied' || replicated || retention !== null) throw error;
    return; // what it would show is checked by the broker, message by message
  }
  const number = (name: string): number => Number(config.get(name) ?? 0);
  if (number('max.message.bytes') < maxMessageBytes)
    throw new WaybillError(
      'unsupported',
      `kafka: '${topic}' has max.message.bytes ${number('max.message.bytes')}, less than the option maxMessageBytes ${maxMessageBytes}; raise the one or lower the other`,
    );
  if (retention !== null && number('retention.ms') !== retention)
    throw new WaybillError(
      'invalid',
      `kafka: '${topic}' has retention.ms ${config.get('retention.ms')}; asked for: ${retention}`,
    );
  const fewest = Math.min(...leaders.map(({ replicas }) => replicas));
  if (replicated && (fewest < 2 || number('min.insync.replicas') < 2))
    throw new WaybillError(
      'unsupported',
      `kafka: '${topic}' has ${fewest} replicas and min.insync.replicas ${number('min.insync.replicas')}; durability 'replicated' needs 2 of each`,
    );
}
