import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type BrokerUrl, type Duration, hostsOf, OptionChecks } from '@waybill/core/adapter';

export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, or `rediss:` with TLS. Options below win over it. */
  readonly url?: string;
  /** ACL user. */
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  /** With `rediss:` only: certificates and the like, as Node's `tls.connect` takes them. */
  readonly tls?: ConnectionOptions;
  /** Put before the name of every key. Also `?keyPrefix=` in the URL. */
  readonly keyPrefix?: string;
  /**
   * What confirmed means, checked at `connect`. `process` (default): a killed server, so its AOF must be on. `memory`:
   * any server. `replicated`: AOF, and `replicas` have received it (`WAIT`), which is still no quorum commit.
   * Also `?durability=` in the URL.
   */
  readonly durability?: 'memory' | 'process' | 'replicated';
  /** For `replicated`: how many replicas must answer. 1 to 10; default 1. */
  readonly replicas?: number;
  /** Accepts a server with `maxmemory` whose policy may evict whole streams. Default false. */
  readonly allowEviction?: boolean;
  /** Publishes of one `sendId` within this time are stored once. Costs a key per message. Default: none. */
  readonly dedup?: { readonly window: Duration };
  /** How long settled messages are kept where the topic doesn't say. Default 7 days; 0 removes them when all groups have settled. */
  readonly retention?: Duration;
  /** The URL's hosts are Sentinels, which know the master of this name. User and password are for the Sentinels. */
  readonly sentinel?: { readonly name: string; readonly username?: string; readonly password?: string };
  /** The URL's hosts are nodes of a Cluster, of which one is enough. Not with `sentinel`, a `db`, or `replicated`. */
  readonly cluster?: boolean;
  /**
   * The lease of subscriptions that name none: a killed consumer's messages come again about this long after. 1 s to
   * 10 min; default 30 s. Short ones cost renewals, and a process that stalls for longer loses what it holds.
   */
  readonly lease?: Duration;
  /** A connection that owes an answer for this long is given up. 100 ms to 60 s; default 5 s. */
  readonly timeout?: Duration;
}

/** Options, checked and complete. */
export interface Settings {
  /** Not empty. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly sentinel: {
    readonly name: string;
    readonly username: string | null;
    readonly password: string | null;
  } | null;
  readonly cluster: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly db: number;
  readonly tls: ConnectionOptions | null;
  readonly keyPrefix: string;
  readonly durability: 'memory' | 'process' | 'replicated';
  readonly replicas: number;
  readonly allowEviction: boolean;
  readonly dedupWindow: number;
  readonly retention: number;
  readonly lease: number;
  readonly timeout: number;
  readonly client: string;
}

const check = new OptionChecks('redis');
const known =
  'url username password db tls keyPrefix durability replicas allowEviction dedup retention sentinel cluster lease timeout'.split(
    ' ',
  );
const durabilities = ['process', 'memory', 'replicated'] as const;

/** @throws WaybillError `invalid`, without a secret in it. */
export function settingsOf(options: RedisOptions, client: string): Settings {
  check.known(options, known);
  const url = check.url(options.url ?? 'redis://127.0.0.1:6379/0', ['redis', 'rediss'], ['keyPrefix', 'durability']);
  const { hosts, params } = url;
  const sentinel = sentinelOf(options.sentinel);
  const cluster = check.flag('cluster', options.cluster, false);
  if (sentinel !== null && cluster) throw check.wrong('sentinel and cluster exclude each other');
  if (hosts.length > 1 && sentinel === null && !cluster)
    throw check.wrong('the URL has several hosts; say cluster: true, or sentinel with the name of the master');
  const keyPrefix = options.keyPrefix ?? params['keyPrefix'] ?? '';
  if (typeof keyPrefix !== 'string' || !/^[\w.:-]{0,64}$/.test(keyPrefix))
    throw check.wrong('keyPrefix must be up to 64 letters, digits, and _ . : -');
  const durability = check.oneOf('durability', options.durability ?? params['durability'], durabilities);
  if (options.replicas !== undefined && durability !== 'replicated')
    throw check.wrong("replicas needs durability: 'replicated'");
  check.known(options.dedup ?? {}, ['window'], 'dedup.');
  if (options.tls !== undefined && url.scheme !== 'rediss') throw check.wrong('tls needs a rediss: URL');
  const first = hosts[0]?.host ?? '127.0.0.1';
  const tls =
    url.scheme === 'rediss'
      ? { ...(hosts.length < 2 && isIP(first) === 0 && { servername: first }), ...options.tls }
      : null;
  const db = options.db === undefined ? database(url) : check.whole('db', options.db, 0, 65_535);
  if (cluster && db !== 0) throw check.wrong(`db is ${db}; a Cluster has only 0`);
  if (cluster && durability === 'replicated')
    throw check.wrong(`durability 'replicated' is not to be had with cluster`);
  return {
    hosts: hostsOf(url, sentinel === null ? 6379 : 26_379),
    sentinel,
    cluster,
    username: check.text('username', options.username) ?? url.username,
    password: check.text('password', options.password) ?? url.password,
    db,
    tls,
    keyPrefix,
    durability,
    replicas: check.whole('replicas', options.replicas ?? 1, 1, 10),
    allowEviction: check.flag('allowEviction', options.allowEviction, false),
    dedupWindow: options.dedup === undefined ? 0 : check.time('dedup.window', options.dedup.window, 1, 31 * 86_400_000),
    retention: check.time('retention', options.retention ?? '7d', 0),
    lease: check.time('lease', options.lease ?? '30s', 1_000, 600_000),
    timeout: check.time('timeout', options.timeout ?? '5s', 100, 60_000),
    client,
  };
}

function sentinelOf(options: RedisOptions['sentinel']): Settings['sentinel'] {
  if (options === undefined) return null;
  check.known(options, ['name', 'username', 'password'], 'sentinel.');
  const { name, username, password } = options;
  if (typeof name !== 'string' || name === '') throw check.wrong('sentinel.name must be the name of the master');
  return {
    name,
    username: check.text('sentinel.username', username),
    password: check.text('sentinel.password', password),
  };
}

function database({ path }: BrokerUrl): number {
  if (path === null || path === '') return 0;
  if (/^\d{1,5}$/.test(path)) return Number(path);
  throw check.wrong('the URL names a database that is no number; allowed: redis://host:6379/0');
}
