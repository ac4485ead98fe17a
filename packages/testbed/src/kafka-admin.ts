import { pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { askKafka, KAFKA_API, KafkaWriter } from './kafka-wire.ts';
import type { Place } from './recipe.ts';
import { TestbedError } from './running-broker.ts';

/** What a user may do with what. */
export interface KafkaRight {
  readonly resource: 'topic' | 'group' | 'cluster' | 'transaction';
  /** Every name that begins with it where it ends with a star. Of a cluster: `kafka-cluster`. */
  readonly name: string;
  readonly operation: 'all' | 'read' | 'write' | 'create' | 'delete' | 'alter' | 'describe' | 'idempotent-write';
}

/** Milliseconds for one answer. */
const patience = 10_000;
const resources = { topic: 2, group: 3, cluster: 4, transaction: 5 } as const;
const operations = {
  all: 2,
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  'idempotent-write': 12,
} as const;

/**
 * Resolves when the node has its place in the cluster, tells its clients their address, and has a coordinator for
 * groups: the first one ever takes half a second more.
 *
 * @param nodes How many there are to be.
 */
export async function probeKafka(place: Place, nodes: number, timeout: number): Promise<string> {
  const body = new KafkaWriter().strings([]);
  const answer = await askKafka(place, { api: KAFKA_API.metadata, version: 1, body }, timeout);
  const brokers = answer.list(() => ({
    id: answer.int32(),
    host: answer.string(),
    port: answer.int32(),
    rack: answer.string(),
  }));
  if (brokers.length < nodes || !brokers.some(({ port }) => port === place.port))
    throw new Error('it has not joined its cluster yet');
  if (answer.int32() < 0) throw new Error('there is no controller yet');
  const group = new KafkaWriter().string('waybill-testbed');
  const coordinator = await askKafka(place, { api: KAFKA_API.findCoordinator, version: 0, body: group }, timeout);
  refuse('the search for a coordinator', coordinator.int16());
  return 'unknown';
}

/** Deletes all topics but Kafka's own, and all groups that nobody is in. */
export async function resetKafka(place: Place): Promise<void> {
  const all = new KafkaWriter().int32(-1);
  const metadata = await askKafka(place, { api: KAFKA_API.metadata, version: 1, body: all }, patience);
  metadata.list(() => [metadata.int32(), metadata.string(), metadata.int32(), metadata.string()]);
  metadata.int32();
  const topics = metadata.list(() => {
    metadata.int16();
    const name = metadata.string();
    const internal = metadata.int8() === 1;
    metadata.list(() => {
      metadata.int16();
      metadata.int32();
      metadata.int32();
      return [metadata.list(() => metadata.int32()), metadata.list(() => metadata.int32())];
    });
    return { name, internal };
  });
  const names = topics.filter(({ internal }) => !internal).map(({ name }) => name);
  const groups = await askKafka(place, { api: KAFKA_API.listGroups, version: 0, body: new KafkaWriter() }, patience);
  refuse('the list of groups', groups.int16());
  const ids = groups.list(() => ({ id: groups.string(), protocol: groups.string() })).map(({ id }) => id);
  await askKafka(place, { api: KAFKA_API.deleteGroups, version: 0, body: new KafkaWriter().strings(ids) }, patience);
  const body = new KafkaWriter().strings(names).int32(patience);
  const deleted = await askKafka(place, { api: KAFKA_API.deleteTopics, version: 1, body }, patience * 2);
  deleted.int32();
  deleted.list(() => refuse(`deleting ${deleted.string()}`, deleted.int16()));
}

export interface KafkaUser {
  readonly name: string;
  readonly password: string;
  readonly mechanism: 'scram-sha-256' | 'scram-sha-512';
}

/** Stores what SCRAM needs to know of a password, which is not the password. */
export async function makeKafkaUser(place: Place, { name, password, mechanism }: KafkaUser): Promise<void> {
  const iterations = 4_096;
  const salt = randomBytes(24);
  const [code, digest, size] =
    mechanism === 'scram-sha-256' ? ([1, 'sha256', 32] as const) : ([2, 'sha512', 64] as const);
  const salted = await promisify(pbkdf2)(password, salt, iterations, size, digest);
  const none = 0;
  const body = new KafkaWriter()
    .varint(1)
    .varint(2)
    .compact(name)
    .int8(code)
    .int32(iterations)
    .compact(salt)
    .compact(salted);
  const request = { api: KAFKA_API.alterScram, version: 0, header: 2 as const, body: body.varint(none).varint(none) };
  const answer = await askKafka(place, request, patience);
  answer.varint(); // the header's tagged fields: none
  answer.int32();
  answer.varint();
  answer.compact();
  refuse(`making user ${name}`, answer.int16());
}

export async function allowKafka(place: Place, user: string, { resource, name, operation }: KafkaRight): Promise<void> {
  const [literal, prefixed, allowed] = [3, 4, 3];
  const many = name.endsWith('*') && name !== '*';
  const body = new KafkaWriter()
    .int32(1)
    .int8(resources[resource])
    .string(many ? name.slice(0, -1) : name)
    .int8(many ? prefixed : literal)
    .string(`User:${user}`)
    .string('*')
    .int8(operations[operation])
    .int8(allowed);
  const answer = await askKafka(place, { api: KAFKA_API.createAcls, version: 1, body }, patience);
  answer.int32();
  answer.list(() => refuse(`giving ${user} a right`, answer.int16(), answer.string()));
}

function refuse(what: string, code: number, message = ''): void {
  if (code !== 0) throw new TestbedError(`kafka: ${what} failed: ${message === '' ? `error ${code}` : message}`);
}
