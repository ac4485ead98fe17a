import { type Facts, WaybillError } from '@waybill/core/adapter';
import { Cluster, Redis } from 'ioredis';
import type { Settings } from './options.ts';

/** One server, or the servers of a Cluster: then every command goes where its keys are. */
export type Client = Redis | Cluster;

/** Commands that later versions would use where the server has them. Asked for by name: Valkey's version says nothing. */
const optional = ['XACKDEL', 'XDELEX', 'XNACK', 'WAITAOF'];

/**
 * Opens one connection that lives once: it never reconnects by itself, for then ioredis would send again what it has no
 * answer for, and `maxRetriesPerRequest` counts per request, not per outcome. When it breaks, all that is open rejects.
 *
 * @param patience Milliseconds a command may take by its own nature (a blocking read), on top of the timeout.
 */
export async function dial(settings: Settings, role: string, patience: number, signal: AbortSignal): Promise<Client> {
  signal.throwIfAborted();
  const connection = open(settings, role, patience);
  let first: unknown;
  connection.on('error', (error: unknown) => (first ??= error)); // without a listener ioredis prints it
  const stop = (): void => connection.disconnect();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await connection.connect();
    return connection;
  } catch (error) {
    connection.disconnect();
    throw signal.aborted ? signal.reason : presentable(first ?? error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function open(settings: Settings, role: string, patience: number): Client {
  const { hosts, username, password, db, tls, timeout, client, sentinel, cluster } = settings;
  const options = {
    db,
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    ...(tls !== null && { tls }),
    connectionName: `waybill:${client.replaceAll(/[^\w.-]/g, '_')}:${role}`,
    lazyConnect: true,
    protocol: 2 as const, // the same replies from every server; nothing here needs RESP3
    retryStrategy: null,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: timeout,
    socketTimeout: timeout + patience,
  };
  if (cluster)
    return new Cluster([...hosts], {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: () => null,
      // Only what a server has refused is sent again: it was not executed.
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      maxRedirections: 5,
      redisOptions: options,
    });
  if (sentinel !== null)
    return new Redis({
      ...options,
      sentinels: [...hosts],
      name: sentinel.name,
      role: 'master' as const,
      sentinelRetryStrategy: () => null,
      ...(sentinel.username !== null && { sentinelUsername: sentinel.username }),
      ...(sentinel.password !== null && { sentinelPassword: sentinel.password }),
    });
  return new Redis({ ...options, ...hosts[0] });
}

/** ioredis puts a command's arguments on its errors: on a handshake's, the password. */
function presentable(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return error;
  if ('command' in error) delete error.command;
  if (error instanceof Error && error.message.startsWith('Unknown RESP type'))
    return new WaybillError('disconnected', 'redis: what answers there is no Redis', { cause: error });
  // A Cluster's error says why in another one.
  if ('lastNodeError' in error && error.lastNodeError instanceof Error) return presentable(error.lastNodeError);
  return error;
}

/** What the server is. @throws WaybillError `unsupported` when that is less than the manifest says. */
export async function inspect(client: Client, settings: Settings): Promise<Facts> {
  if (client instanceof Redis) return inspectServer(client, settings);
  const all = await Promise.all(client.nodes('master').map((node) => inspectServer(node, settings)));
  if (all[0] === undefined) throw new WaybillError('unavailable', 'redis: the Cluster has no master');
  return { ...all[0], nodes: all.length };
}

async function inspectServer(connection: Redis, settings: Settings): Promise<Facts> {
  const [info, commands, fsync] = await Promise.all([
    connection.info(),
    connection.call('COMMAND', ['INFO', ...optional]).catch(() => null),
    connection.config('GET', 'appendfsync').catch(() => null), // often forbidden; a fact to show, not a check
  ]);
  const say = (name: string): string | null => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? null;
  const facts = {
    server: say('server_name') ?? 'redis',
    version: say('valkey_version') ?? say('redis_version'),
    redisVersion: say('redis_version'),
    role: say('role'),
    appendonly: say('aof_enabled') === '1',
    appendfsync: Array.isArray(fsync) ? (fsync[1] ?? null) : null,
    replicas: Number(say('connected_slaves') ?? 0),
    maxmemory: Number(say('maxmemory') ?? 0),
    maxmemoryPolicy: say('maxmemory_policy'),
    cluster: say('cluster_enabled') === '1',
    optionalCommands: Array.isArray(commands)
      ? optional.filter((_, index) => commands[index] !== null).join(' ')
      : null,
  };
  const [major = 0, minor = 0] = (facts.redisVersion ?? '').split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 2)) refuse(`the server is Redis ${facts.version}; at least 6.2 is needed`);
  if (facts.role !== 'master') refuse(`the server is a ${facts.role}, not a master`);
  if (settings.durability !== 'memory' && !facts.appendonly)
    refuse(
      `the server's AOF is off (appendonly no), so a killed server loses confirmed messages; turn it on, or accept that by durability: 'memory'`,
    );
  if (settings.durability === 'replicated' && facts.replicas < settings.replicas)
    refuse(`the server has ${facts.replicas} replicas; durability 'replicated' needs ${settings.replicas}`);
  if (facts.maxmemory > 0 && (facts.maxmemoryPolicy ?? '').startsWith('allkeys-') && !settings.allowEviction)
    refuse(
      `maxmemory-policy ${facts.maxmemoryPolicy} may evict whole streams; set noeviction, or accept that by allowEviction: true`,
    );
  if (facts.cluster && !settings.cluster) {
    const state = String(await connection.call('CLUSTER', ['INFO']));
    if (Number(/^cluster_size:(\d+)/m.exec(state)?.[1] ?? 1) > 1)
      refuse('the server is a node of a Cluster; say cluster: true');
  }
  if (!facts.cluster && settings.cluster) refuse('the server is no node of a Cluster; leave cluster: true out');
  return facts;
}

function refuse(why: string): never {
  throw new WaybillError('unsupported', `redis: ${why}`);
}
