import { type Facts, WaybillError } from '@waybill/core/adapter';
import { Redis } from 'ioredis';
import type { Settings } from './options.ts';

/** Commands that later versions would use where the server has them. Asked for by name: Valkey's version says nothing. */
const optional = ['XACKDEL', 'XDELEX', 'XNACK', 'WAITAOF'];

/**
 * Opens one connection that lives once: it never reconnects by itself, for then ioredis would send again what it has no
 * answer for, and `maxRetriesPerRequest` counts per request, not per outcome. When it breaks, all that is open rejects.
 *
 * @param patience Milliseconds a command may take by its own nature (a blocking read), on top of the timeout.
 */
export async function dial(settings: Settings, role: string, patience: number, signal: AbortSignal): Promise<Redis> {
  const { host, port, username, password, db, tls, timeout, client } = settings;
  signal.throwIfAborted();
  const connection = new Redis({
    host,
    port,
    db,
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    ...(tls !== null && { tls }),
    connectionName: `waybill:${client.replaceAll(/[^\w.-]/g, '_')}:${role}`,
    lazyConnect: true,
    protocol: 2, // the same replies from every server; nothing here needs RESP3
    retryStrategy: null,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: timeout,
    socketTimeout: timeout + patience,
  });
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

/** ioredis puts a command's arguments on its errors: on a handshake's, the password. */
function presentable(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return error;
  if ('command' in error) delete error.command;
  // What Node throws for a name with several addresses has no message of its own.
  if (error instanceof AggregateError && error.message === '')
    error.message = error.errors.map((one: Error) => one.message).join('; ');
  return error;
}

/** What the server is. @throws WaybillError `unsupported` when that is less than the manifest says. */
export async function inspect(connection: Redis, settings: Settings): Promise<Facts> {
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
  if (
    facts.cluster &&
    Number(/^cluster_size:(\d+)/m.exec(String(await connection.call('CLUSTER', ['INFO'])))?.[1] ?? 1) > 1
  )
    refuse('the server is a node of a Cluster, which is not supported yet');
  return facts;
}

function refuse(why: string): never {
  throw new WaybillError('unsupported', `redis: ${why}`);
}
