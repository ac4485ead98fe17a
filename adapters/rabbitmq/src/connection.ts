import { type Facts, patiently, WaybillError } from '@waybill/core/adapter';
import { type Channel, type ChannelModel, connect, type ConfirmChannel, credentials } from 'amqplib';
import type { Settings } from './options.ts';

/** What `close` waits for the server's answer. */
const FAREWELL = 2_000;

/** One connection, which lives once. It never reconnects by itself: core does. */
export class Connection {
  /** Why the server takes no publishes on it at present; null when it does. */
  blocked: string | null = null;
  readonly #model: ChannelModel;
  readonly #onEnd = new Set<(error: Error) => void>();
  #error: Error | null = null;
  #ended = false;

  private constructor(model: ChannelModel) {
    this.#model = model;
    model.on('error', (error) => (this.#error ??= error));
    model.on('blocked', (reason) => (this.blocked = reason));
    model.on('unblocked', () => (this.blocked = null));
    model.on('close', (error) => {
      this.#error ??= error ?? new Error('Connection closed');
      this.#ended = true;
      for (const ended of this.#onEnd) ended(this.#error);
    });
  }

  /**
   * Dials host after host until one answers. @throws what the last one said, or the signal's reason
   *
   * @param role Shown at the server, beside the program's name.
   */
  static async dial(settings: Settings, role: string, signal: AbortSignal): Promise<Connection> {
    let last: unknown;
    for (const host of settings.hosts) {
      signal.throwIfAborted();
      try {
        return await dialHost(host, settings, role, signal);
      } catch (error) {
        last = presentable(error, settings.vhost);
      }
    }
    throw signal.aborted ? signal.reason : last;
  }

  /** @internal */
  static of(model: ChannelModel): Connection {
    return new Connection(model);
  }

  get alive(): boolean {
    return !this.#ended;
  }

  /** Why it ended, or was about to. */
  get error(): Error {
    return this.#error ?? new Error('Connection closed');
  }

  /** What the server says of itself. */
  get server(): { readonly [name: string]: string | undefined } {
    return this.#model.connection.serverProperties;
  }

  /** Calls back at its end, whoever ended it; returns how to stop. */
  onEnd(callback: (error: Error) => void): () => void {
    this.#onEnd.add(callback);
    return () => void this.#onEnd.delete(callback);
  }

  async openChannel(): Promise<Channel> {
    return listened(await this.#live().createChannel());
  }

  async openConfirmChannel(): Promise<ConfirmChannel> {
    return listened(await this.#live().createConfirmChannel());
  }

  /** Runs this on a channel of its own: what the server refuses closes a channel. */
  async aside<T>(use: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = await this.openChannel();
    let open = true;
    channel.on('close', () => (open = false));
    try {
      return await use(channel);
    } finally {
      if (open) channel.close().catch(() => undefined);
    }
  }

  /** Ends within seconds, whether the server answers or not. */
  async close(): Promise<void> {
    if (this.#ended) return;
    // One that breaks meanwhile never answers.
    const broken = new Promise<void>((resolve) => this.onEnd(() => resolve()));
    await patiently(Promise.race([this.#model.close(), broken]), FAREWELL);
    // A server that is silent would keep the socket, and with it this process, until its heartbeats are missed.
    (this.#model.connection as unknown as { stream: { destroy(): void } }).stream.destroy();
  }

  #live(): ChannelModel {
    if (this.#ended) throw this.error;
    return this.#model;
  }
}

/** Without a listener a channel's error becomes its connection's. */
function listened<T extends Channel>(channel: T): T {
  channel.on('error', () => undefined);
  return channel;
}

async function dialHost(
  { host, port }: Settings['hosts'][number],
  settings: Settings,
  role: string,
  signal: AbortSignal,
): Promise<Connection> {
  const { username, password, vhost, tls, sasl, heartbeat, timeout, client } = settings;
  const dialing = connect(
    {
      protocol: tls === null ? 'amqp' : 'amqps',
      hostname: host,
      port,
      username,
      password,
      vhost: encodeURIComponent(vhost),
      heartbeat: heartbeat / 1_000,
      frameMax: 131_072,
    },
    {
      ...tls,
      ...(sasl === 'external' && { credentials: credentials.external() }),
      timeout,
      noDelay: true,
      keepAlive: true,
      clientProperties: { connection_name: `waybill:${client}:${role}` },
    },
  );
  const opening = dialing.then((model) => Connection.of(model));
  await patiently(opening, null, signal);
  if (!signal.aborted) return opening;
  opening.then(
    (late) => late.close(),
    () => undefined,
  );
  throw signal.reason;
}

/** amqplib says of a refused vhost no more than which frame it had expected. */
function presentable(error: unknown, vhost: string): unknown {
  if (error instanceof Error && error.message.startsWith('Expected ConnectionOpenOk'))
    return new WaybillError(
      'denied',
      `rabbitmq: the server refuses the vhost '${vhost}': it does not exist, or this user may not use it`,
    );
  return error;
}

/** What the server is. @throws WaybillError `unsupported` when it is older than the manifest assumes */
export function inspect(connection: Connection, { server, vhost, queues, tls, heartbeat }: Settings): Facts {
  const { product, version: found = '', cluster_name: cluster } = connection.server;
  const [major = 0, minor = 0] = found.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = server.split('.').map(Number);
  if (product !== undefined && product !== 'RabbitMQ')
    throw new WaybillError('unsupported', `rabbitmq: the server is ${product}, not RabbitMQ`);
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor))
    throw new WaybillError(
      'unsupported',
      `rabbitmq: the server is RabbitMQ ${found}; server: '${server}' assumes that or newer`,
    );
  return {
    server: 'RabbitMQ',
    version: found,
    cluster: cluster ?? null,
    vhost,
    queues,
    tls: tls !== null,
    heartbeat,
  };
}
