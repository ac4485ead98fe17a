import { createRequire } from 'node:module';
import { WaybillError } from '@waybill/core/adapter';
import type { Broker, Cluster } from 'kafkajs';
import { decodeFetch, type FetchAnswer } from './fetched.ts';
import { quieten } from './quiet.ts';

/*
 * The seam to kafkajs. Its consumer heartbeats between handler calls only, waits for all partitions of a broker before
 * it fetches again, has no awaited revocation and ends on a run of errors, so that a group is read here with its
 * requests instead: by the `Cluster` that it hands to partition assigners, whose `Broker`s have a method per request.
 * kafkajs is pinned to one version, and what is used of it beyond its own types is looked for when a connection opens.
 */

/** The version that these types were read from. */
const PINNED = '2.2.4';

export interface OutgoingRecord {
  readonly key: string | null;
  readonly value: Buffer;
  readonly timestamp: string;
  readonly headers: Readonly<Record<string, string | Buffer>>;
}

/** A transactional producer, as it proves that it is the latest of its name. */
export interface ProducerIdentity {
  readonly transactionalId: string;
  readonly producerId: string;
  readonly producerEpoch: number;
}

/** A request as kafkajs' connections take it: what comes behind the header, and how to read the answer. */
interface ForeignRequest<T> {
  readonly request: {
    readonly apiName: string;
    readonly apiKey: number;
    readonly apiVersion: number;
    encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
  };
  readonly response: { decode(raw: Buffer): Promise<T>; parse(answer: T): Promise<T> };
}

interface GroupDescription {
  readonly state: string;
  readonly members: readonly { readonly memberId: string; readonly clientId: string; readonly clientHost: string }[];
}

interface Commit {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
}

interface ConfigEntry {
  readonly configName: string;
  readonly configValue: string | null;
}

/** One broker of the cluster, with the requests that its types leave out. */
export interface Node extends Pick<Broker, 'isConnected'> {
  readonly nodeId: string | number;
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null;
  /** Sends a request that kafkajs does not have. */
  readonly connectionPool: { send<T>(request: ForeignRequest<T>): Promise<T> };
  produce(
    request: {
      readonly acks: -1;
      readonly timeout: number;
      readonly compression: 0 | 1;
      readonly topicData: readonly {
        readonly topic: string;
        readonly partitions: readonly {
          readonly partition: number;
          /** Of an idempotent producer. */
          readonly firstSequence?: number;
          readonly messages: readonly OutgoingRecord[];
        }[];
      }[];
    } & Partial<ProducerIdentity>,
  ): Promise<{
    readonly topics: readonly {
      readonly partitions: readonly { readonly partition: number; readonly baseOffset: string }[];
    }[];
  }>;
  fetch(request: {
    readonly isolationLevel: 1;
    readonly maxWaitTime: number;
    readonly minBytes: number;
    readonly maxBytes: number;
    readonly topics: readonly {
      readonly topic: string;
      readonly partitions: readonly {
        readonly partition: number;
        readonly fetchOffset: string;
        readonly maxBytes: number;
      }[];
    }[];
  }): Promise<FetchAnswer>;
  metadata(topics: readonly string[]): Promise<{
    readonly brokers: readonly { readonly host: string; readonly port: number }[];
    readonly topicMetadata: readonly {
      readonly topic: string;
      readonly partitionMetadata: readonly {
        readonly partitionId: number;
        readonly leader: number;
        readonly replicas: readonly number[];
      }[];
    }[];
  }>;
  listOffsets(request: {
    readonly replicaId: -1;
    readonly isolationLevel: 1;
    readonly topics: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number; readonly timestamp: number }[];
    }[];
  }): Promise<{ readonly responses: readonly Commit[] }>;
  findGroupCoordinator(request: {
    readonly groupId: string;
    /** Of a group, or of a transactional id. */
    readonly coordinatorType: 0 | 1;
  }): Promise<{ readonly coordinator: { readonly nodeId: number } }>;
  joinGroup(request: {
    readonly groupId: string;
    readonly sessionTimeout: number;
    readonly rebalanceTimeout: number;
    readonly memberId: string;
    readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  }): Promise<{
    readonly generationId: number;
    readonly leaderId: string;
    readonly memberId: string;
    readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
  }>;
  syncGroup(request: {
    readonly groupId: string;
    readonly generationId: number;
    readonly memberId: string;
    readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[];
  }): Promise<{ readonly memberAssignment: Buffer }>;
  heartbeat(request: {
    readonly groupId: string;
    readonly groupGenerationId: number;
    readonly memberId: string;
  }): Promise<unknown>;
  initProducerId(request: { readonly transactionalId: string; readonly transactionTimeout: number }): Promise<{
    readonly producerId: string;
    readonly producerEpoch: number;
  }>;
  addPartitionsToTxn(
    request: ProducerIdentity & {
      readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
    },
  ): Promise<unknown>;
  addOffsetsToTxn(request: ProducerIdentity & { readonly groupId: string }): Promise<unknown>;
  endTxn(request: ProducerIdentity & { readonly transactionResult: boolean }): Promise<unknown>;
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
  offsetCommit(request: {
    readonly groupId: string;
    readonly groupGenerationId: number;
    readonly memberId: string;
    readonly topics: readonly Commit[];
  }): Promise<unknown>;
  offsetFetch(request: {
    readonly groupId: string;
    readonly topics: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number }[];
    }[];
  }): Promise<{ readonly responses: readonly Commit[] }>;
  deleteRecords(request: { readonly topics: readonly Commit[]; readonly timeout: number }): Promise<unknown>;
  describeGroups(request: {
    readonly groupIds: readonly string[];
  }): Promise<{ readonly groups: readonly GroupDescription[] }>;
  describeConfigs(request: {
    readonly resources: readonly { readonly type: 2 | 4; readonly name: string }[];
  }): Promise<{ readonly resources: readonly { readonly configEntries: readonly ConfigEntry[] }[] }>;
  createTopics(request: {
    readonly topics: readonly {
      readonly topic: string;
      readonly numPartitions: number;
      readonly replicationFactor: number;
      readonly configEntries: readonly { readonly name: string; readonly value: string }[];
    }[];
    readonly timeout: number;
  }): Promise<unknown>;
}

/** The cluster as one set of connections knows it. Of its topics it is asked for none: that is done request by request. */
export type Brokers = Pick<Cluster, 'connect' | 'disconnect' | 'getNodeIds' | 'refreshMetadata'> & {
  /** What `refreshMetadata` asks for; empty: every topic of the cluster. */
  readonly targetTopics: Set<string>;
  /** For messages only. */
  readonly brokerPool?: {
    readonly metadata?: { readonly brokers: readonly { readonly host: string; readonly port: number }[] } | null;
  };
  findBroker(node: { nodeId: string | number }): Promise<Node>;
  findControllerBroker(): Promise<Node>;
};

const ofBrokers = ['connect', 'disconnect', 'getNodeIds', 'refreshMetadata', 'findBroker', 'findControllerBroker'];
const ofNode = [
  'produce',
  'fetch',
  'metadata',
  'listOffsets',
  'findGroupCoordinator',
  'joinGroup',
  'syncGroup',
  'heartbeat',
  'initProducerId',
  'addPartitionsToTxn',
  'addOffsetsToTxn',
  'endTxn',
  'leaveGroup',
  'offsetCommit',
  'offsetFetch',
  'deleteRecords',
  'describeGroups',
  'describeConfigs',
  'createTopics',
  'lookupRequest',
];

/** @throws WaybillError `unsupported` where another kafkajs is installed than this adapter was written for. */
export function checkCluster(cluster: unknown): Brokers {
  // Before it is connected: what has answered once can't be quietened any more when its connection is lost.
  const { brokerPool } = cluster as { brokerPool?: { createBroker?: (options: unknown) => unknown } };
  const create = brokerPool?.createBroker;
  if (brokerPool !== undefined && create !== undefined)
    brokerPool.createBroker = (options) => {
      const broker = create(options);
      quieten(broker);
      return broker;
    };
  const { version } = createRequire(import.meta.url)('kafkajs/package.json') as { version: string };
  if (version !== PINNED) refuse(`kafkajs ${version} is installed; this adapter needs exactly ${PINNED}`);
  check(cluster, ofBrokers);
  return cluster as Brokers;
}

export function checkNode(broker: unknown): Node {
  check(broker, ofNode);
  readFetches(broker as Lookup);
  return broker as Node;
}

const FETCH = 1;
/** The version of its answer that is decoded here: of Kafka 2.3 and later. */
const FETCH_VERSION = 11;

type Make = (options: unknown) => { readonly request: { readonly apiVersion: number }; readonly response: object };

/** A broker looks up here how a request is encoded and its answer decoded; a new connection brings a new lookup. */
interface Lookup {
  lookupRequest: ((api: number, definition: unknown) => Make) & { readonly reads?: true };
}

/** Answers to fetches are decoded by this adapter. */
function readFetches(broker: Lookup): void {
  const lookup = broker.lookupRequest;
  if (lookup.reads === true) return;
  const own = (api: number, definition: unknown): Make => {
    const make = lookup(api, definition);
    if (api !== FETCH) return make;
    return (options) => {
      const made = make(options);
      if (made.request.apiVersion !== FETCH_VERSION)
        refuse(`the broker is too old: it has no version ${FETCH_VERSION} of Fetch`);
      return { ...made, response: { ...made.response, decode: decodeFetch } };
    };
  };
  broker.lookupRequest = Object.assign(own, { reads: true as const });
}

function check(thing: unknown, methods: readonly string[]): void {
  const found = (thing ?? {}) as Record<string, unknown>;
  const missing = methods.find((name) => typeof found[name] !== 'function');
  if (missing !== undefined) refuse(`kafkajs ${PINNED} has no '${missing}' where this adapter expects it`);
}

function refuse(why: string): never {
  throw new WaybillError('unsupported', `kafka: ${why}`);
}
