import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { WaybillError } from '@waybill/core/adapter';
import { type ISocketFactory, Kafka, type KafkaConfig, logLevel } from 'kafkajs';
import { type Brokers, checkCluster, checkNode, type Node } from './client.ts';
import { classify, typeOf } from './errors.ts';
import type { Settings } from './options.ts';

/** What `close` waits for requests under way. */
const PATIENCE = 500;
/** How long a coordinator may take to be ready. */
const LOADING = 5_000;

/** The options of every kafkajs client made here: it repeats nothing, says nothing, and creates no topic. */
export function clientOptions(settings: Settings, role: string, socketFactory: ISocketFactory): KafkaConfig {
  const { hosts, tls, sasl, timeout, client } = settings;
  return {
    clientId: `waybill-${client.replaceAll(/[^\w.-]/g, '_')}-${role}`,
    brokers: hosts.map(({ host, port }) => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`),
    ...(tls !== null && { ssl: tls }),
    ...(sasl !== null && { sasl: { ...sasl } as NonNullable<KafkaConfig['sasl']> }),
    connectionTimeout: timeout,
    authenticationTimeout: timeout,
    requestTimeout: timeout,
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
    logCreator: () => () => undefined,
    socketFactory,
  };
}

/** Opens sockets where the settings say, and remembers them, so that they can be cut; from then on it opens none. */
export class Sockets {
  readonly #settings: Settings;
  readonly #open = new Set<Socket>();
  #cut = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  readonly factory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const at = this.#settings.addresses.get(`${host}:${port}`) ?? { host, port };
    const socket =
      (ssl as unknown) === undefined || (ssl as unknown) === null
        ? connectTcp(at, onConnect)
        : connectTls({ ...at, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect);
    socket.setKeepAlive(true, 60_000);
    socket.setNoDelay(true);
    socket.setMaxListeners(0); // kafkajs adds one at each try to end it
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    if (this.#cut) end(socket);
    return socket;
  };

  cut(): void {
    this.#cut = true;
    for (const socket of this.#open) end(socket);
  }
}

/** With an error: without one kafkajs waits on for what can't come any more, and its timers hold the process. */
function end(socket: Socket): void {
  socket.destroy(new Error('the connection was closed'));
}

/** The partitions of a topic, and the node that leads each; null while nobody does. */
export type Leaders = readonly {
  readonly partition: number;
  readonly leader: number | null;
  readonly replicas: number;
}[];

/**
 * One set of connections to the cluster: one per broker for requests and one for fetches, so that a fetch that waits
 * holds up nothing else. Each subscription has a set of its own.
 */
export class Connection {
  readonly brokers: Brokers;
  readonly #sockets: Sockets;
  readonly #metadataAge: number;
  readonly #topics = new Map<string, { readonly leaders: Leaders; readonly at: number }>();
  readonly #asking = new Map<string, Promise<Leaders>>();
  #closed: Promise<void> | null = null;

  private constructor(brokers: Brokers, sockets: Sockets, metadataAge: number) {
    this.brokers = brokers;
    this.#sockets = sockets;
    this.#metadataAge = metadataAge;
  }

  /** Connects to one of the hosts and looks at the cluster. */
  static async open(settings: Settings, role: string, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    const sockets = new Sockets(settings);
    let cluster: unknown;
    new Kafka(clientOptions(settings, role, sockets.factory)).consumer({
      groupId: 'waybill',
      allowAutoTopicCreation: false,
      metadataMaxAge: settings.metadataAge,
      partitionAssigners: [
        (assigner) => {
          ({ cluster } = assigner);
          return {
            name: '',
            version: 0,
            assign: () => Promise.resolve([]),
            protocol: () => ({ name: '', metadata: Buffer.alloc(0) }),
          };
        },
      ],
    });
    const connection = new Connection(checkCluster(cluster), sockets, settings.metadataAge);
    const stop = (): void => void connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await connection.brokers.connect();
      await connection.brokers.refreshMetadata();
      await connection.#reach(settings);
      return connection;
    } catch (error) {
      await connection.close();
      throw signal.aborted ? signal.reason : presentable(error);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  get closed(): boolean {
    return this.#closed !== null;
  }

  /**
   * Who leads the partitions of a topic, as far as known; `fresh` asks the cluster.
   *
   * @throws the client's UNKNOWN_TOPIC_OR_PARTITION
   */
  async leaders(topic: string, fresh = false): Promise<Leaders> {
    const known = this.#topics.get(topic);
    if (!fresh && known !== undefined && performance.now() - known.at < this.#metadataAge) return known.leaders;
    // One question for all who ask meanwhile.
    let asking = this.#asking.get(topic);
    if (asking === undefined) {
      asking = this.#ask(topic).finally(() => this.#asking.delete(topic));
      this.#asking.set(topic, asking);
    }
    return asking;
  }

  /** A connected broker. One whose connection was lost is connected again. */
  async node(nodeId: number | string): Promise<Node> {
    try {
      return checkNode(await this.brokers.findBroker({ nodeId }));
    } catch (error) {
      // One that has joined the cluster since, or has another address now.
      if (!(error instanceof Error) || error.name !== 'KafkaJSBrokerNotFound') throw error;
      await this.#lookAround();
      return checkNode(await this.brokers.findBroker({ nodeId }));
    }
  }

  async #ask(topic: string): Promise<Leaders> {
    const node = await this.anyNode();
    const { topicMetadata } = await node.metadata([topic]);
    const found = topicMetadata.find((one) => one.topic === topic)?.partitionMetadata ?? [];
    if (found.length === 0) throw new WaybillError('not-found', `kafka: the topic '${topic}' does not exist`);
    const leaders = found
      .map(({ partitionId, leader, replicas }) => ({
        partition: partitionId,
        leader: leader >= 0 ? leader : null,
        replicas: replicas.length,
      }))
      .toSorted((a, b) => a.partition - b.partition);
    this.#topics.set(topic, { leaders, at: performance.now() });
    if (this.brokers.targetTopics.size === 0) this.brokers.targetTopics.add(topic); // or it would ask for all
    return leaders;
  }

  /** Which brokers there are now. */
  async #lookAround(): Promise<void> {
    try {
      await this.brokers.refreshMetadata();
    } catch (error) {
      if (classify(error) !== 'not-found') throw error;
      this.brokers.targetTopics.clear(); // the one it asks for was deleted
      await this.brokers.refreshMetadata();
    }
  }

  /** Any broker that answers. */
  async anyNode(): Promise<Node> {
    let failure: unknown = new WaybillError('disconnected', 'kafka: no broker is known');
    for (const nodeId of this.brokers.getNodeIds()) {
      try {
        return await this.node(nodeId);
      } catch (error) {
        failure = error;
      }
    }
    await this.#lookAround().catch(() => undefined);
    throw failure;
  }

  /** The broker that coordinates a group, or the transactions of an id. */
  async coordinator(groupId: string, of: 'group' | 'transactions' = 'group'): Promise<Node> {
    const node = await this.anyNode();
    const { coordinator } = await node.findGroupCoordinator({ groupId, coordinatorType: of === 'group' ? 0 : 1 });
    return this.node(coordinator.nodeId);
  }

  /**
   * Asks the coordinator something that may be asked again. One that is being found or loads its groups takes a moment:
   * after a restart, and in a cluster that has never had a group.
   */
  async askCoordinator<T>(groupId: string, ask: (node: Node) => Promise<T>): Promise<T> {
    const until = performance.now() + LOADING;
    for (;;) {
      try {
        return await ask(await this.coordinator(groupId));
      } catch (error) {
        const loads = /COORDINATOR|GROUP_LOAD_IN_PROGRESS/.test(typeOf(error));
        if (!loads || this.closed || performance.now() > until) throw error;
        await sleep(100);
      }
    }
  }

  /** Idempotent. Waits a moment for requests under way, then cuts. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const ending = Promise.resolve(this.brokers.disconnect()).catch(() => undefined);
    const patience = new AbortController();
    await Promise.race([ending, sleep(PATIENCE, undefined, { signal: patience.signal }).catch(() => undefined)]);
    patience.abort();
    this.#sockets.cut();
  }

  /** What a host answers may name brokers elsewhere. @throws WaybillError that says where, when none can be reached */
  async #reach(settings: Settings): Promise<void> {
    try {
      await this.anyNode();
    } catch (error) {
      if (classify(error) !== 'disconnected') throw error;
      const found = this.brokers.brokerPool?.metadata?.brokers ?? [];
      const advertised = found.map(({ host, port }) => `${host}:${port}`).join(', ');
      const asked = settings.hosts.map(({ host, port }) => `${host}:${port}`).join(', ');
      throw new WaybillError(
        'disconnected',
        `kafka: ${asked} answers, but advertises ${advertised}, which can't be reached from here; set advertised.listeners on the broker, or the option addresses`,
        { cause: error },
      );
    }
  }
}

/** kafkajs says what it wraps in words of its own. */
function presentable(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  if (typeOf(error) === 'UNSUPPORTED_VERSION')
    return new WaybillError(
      'invalid',
      'kafka: the host does not speak the protocol of a broker; is it the address of a controller?',
      {
        cause: error,
      },
    );
  return cause instanceof Error && error instanceof Error && error.name === 'KafkaJSNumberOfRetriesExceeded'
    ? cause
    : error;
}
