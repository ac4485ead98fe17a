import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type BrokerUrl, type Duration, hostsOf, OptionChecks } from '@waybill/core/adapter';

export interface KafkaOptions {
  /** `kafka://host:9092,host2:9092`, or `kafkas:` with TLS. Options below win over it. */
  readonly url?: string;
  readonly username?: string;
  readonly password?: string;
  /** How user and password are presented. Default `plain` where there is a user. Also `?sasl=` in the URL. */
  readonly sasl?: SaslMechanism;
  /** With `kafkas:` only: certificates and the like, as Node's `tls.connect` takes them. */
  readonly tls?: ConnectionOptions;
  /** Where to reach what a broker advertises, as behind a tunnel: `{ 'kafka-1:9092': '127.0.0.1:19092' }`. */
  readonly addresses?: Readonly<Record<string, string>>;
  /**
   * What confirmed means. `process` (default): a killed broker process. `replicated`: the loss of a node, so topics need
   * two replicas and `min.insync.replicas` 2 or more, and the cluster two brokers; checked.
   */
  readonly durability?: 'process' | 'replicated';
  /** Replicas of topics that are made here. 1 to 32; default: 3 where `replicated`, else the broker's own default. */
  readonly replicas?: number;
  /** Partitions of topics without an ordering key that are made here: the most instances that share a group's work. 1 to 1,000; default 6. */
  readonly partitions?: number;
  /** `retention.ms` of topics that are made here and don't say. Kafka counts from publication. Default 7 days; 0: for ever. */
  readonly retention?: Duration;
  /** The smallest `max.message.bytes` of the topics in use. 65,536 bytes of it are for key and headers. Default 1,048,588. */
  readonly maxMessageBytes?: number;
  /** Each repeat of a send inside one publish is stored once. One request at a time, so about half the rate. Default false. */
  readonly idempotent?: boolean;
  /** Compresses what is published. Default `none`. */
  readonly compression?: 'none' | 'gzip';
  /**
   * The session timeout of subscriptions that name no `lease`: a killed consumer's partitions move about this long after.
   * The broker allows 6 s to 30 min unless configured otherwise. 500 ms to 30 min; default 30 s.
   */
  readonly lease?: Duration;
  /**
   * Where a group goes on when what it would read next was deleted. `fail` ends the subscription with an error; the
   * others jump, and say so in a process warning. Default `earliest`.
   */
  readonly onOutOfRange?: 'earliest' | 'latest' | 'fail';
  /** Longest wait of a fetch, when there is nothing to read. 10 ms to 5 s; default 250 ms. */
  readonly maxWait?: Duration;
  /** Most bytes of one partition in one fetch; twice that and one fetch more wait in memory. 64 KiB to 16 MiB; default 1 MiB. */
  readonly fetchBytes?: number;
  /** How soon more partitions or an elected leader are noticed by themselves. 1 s to 10 min; default 60 s. */
  readonly metadataAge?: Duration;
  /** A request without an answer for this long has failed. 500 ms to 5 min; default 10 s. */
  readonly timeout?: Duration;
}

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
type SaslMechanism = (typeof mechanisms)[number];

/** Options, checked and complete. Times in ms. */
export interface Settings {
  /** Not empty. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly sasl: { readonly mechanism: SaslMechanism; readonly username: string; readonly password: string } | null;
  readonly tls: ConnectionOptions | null;
  readonly addresses: ReadonlyMap<string, { readonly host: string; readonly port: number }>;
  readonly durability: 'process' | 'replicated';
  /** -1: the broker's default. */
  readonly replicas: number;
  readonly partitions: number;
  /** 0: for ever. */
  readonly retention: number;
  readonly maxMessageBytes: number;
  readonly idempotent: boolean;
  readonly gzip: boolean;
  readonly lease: number;
  readonly onOutOfRange: 'earliest' | 'latest' | 'fail';
  readonly maxWait: number;
  readonly fetchBytes: number;
  readonly metadataAge: number;
  readonly timeout: number;
  readonly client: string;
}

const check = new OptionChecks('kafka');
const known =
  'url username password sasl tls addresses durability replicas partitions retention maxMessageBytes idempotent compression lease onOutOfRange maxWait fetchBytes metadataAge timeout'.split(
    ' ',
  );

/** @throws WaybillError `invalid`, without a secret in it. */
export function settingsOf(options: KafkaOptions, client: string): Settings {
  check.known(options, known);
  const url = check.url(options.url ?? 'kafka://127.0.0.1:9092', ['kafka', 'kafkas'], ['sasl']);
  const { scheme, path } = url;
  if (path !== null && path !== '') throw check.wrong('the URL has a path; allowed: kafka://host:9092,host2:9092');
  if (options.tls !== undefined && scheme !== 'kafkas') throw check.wrong('tls needs a kafkas: URL');
  const durability = check.oneOf('durability', options.durability, ['process', 'replicated']);
  const replicas = options.replicas === undefined ? null : check.whole('replicas', options.replicas, 1, 32);
  if (durability === 'replicated' && replicas === 1)
    throw check.wrong(`replicas is 1; durability 'replicated' needs 2 or more`);
  return {
    hosts: hostsOf(url, 9092),
    sasl: saslOf(options, url),
    tls: scheme === 'kafkas' ? { ...options.tls } : null,
    addresses: addressesOf(options.addresses ?? {}),
    durability,
    replicas: replicas ?? (durability === 'replicated' ? 3 : -1),
    partitions: check.whole('partitions', options.partitions ?? 6, 1, 1_000),
    retention: check.time('retention', options.retention ?? '7d', 0),
    maxMessageBytes: check.whole('maxMessageBytes', options.maxMessageBytes ?? 1_048_588, 131_072, 256 * 1024 * 1024),
    idempotent: check.flag('idempotent', options.idempotent, false),
    gzip: check.oneOf('compression', options.compression, ['none', 'gzip']) === 'gzip',
    lease: check.time('lease', options.lease ?? '30s', 500, 1_800_000),
    onOutOfRange: check.oneOf('onOutOfRange', options.onOutOfRange, ['earliest', 'latest', 'fail']),
    maxWait: check.time('maxWait', options.maxWait ?? 250, 10, 5_000),
    fetchBytes: check.whole('fetchBytes', options.fetchBytes ?? 1024 * 1024, 65_536, 16 * 1024 * 1024),
    metadataAge: check.time('metadataAge', options.metadataAge ?? '60s', 1_000, 600_000),
    timeout: check.time('timeout', options.timeout ?? '10s', 500, 300_000),
    client,
  };
}

function saslOf(options: KafkaOptions, { username, password, params }: BrokerUrl): Settings['sasl'] {
  const user = check.text('username', options.username) ?? username;
  const secret = check.text('password', options.password) ?? password;
  const wanted = options.sasl ?? params['sasl'];
  const mechanism = mechanisms.find((one) => one === (wanted ?? 'plain'));
  // Not shown: who means to give a password here may do so.
  if (mechanism === undefined) throw check.wrong(`sasl is none of ${mechanisms.join(', ')}`);
  if (user !== null && secret !== null) return { mechanism, username: user, password: secret };
  if (user === null && secret === null && wanted === undefined) return null;
  throw check.wrong('sasl needs a user name and a password');
}

function addressesOf(addresses: Readonly<Record<string, string>>): Settings['addresses'] {
  if (typeof addresses !== 'object' || addresses === null)
    throw check.wrong('addresses must be a map of host:port to host:port');
  return new Map(
    Object.entries(addresses).map(([from, to]) => {
      const [host, port] = splitAddress(to);
      splitAddress(from);
      return [from, { host, port }];
    }),
  );
}

function splitAddress(address: unknown): [host: string, port: number] {
  const [, bracketed, name, port] =
    (typeof address === 'string' && /^(?:\[([0-9a-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(address)) || [];
  const host = bracketed ?? name;
  if (host !== undefined && (bracketed === undefined || isIP(bracketed) === 6)) return [host, Number(port)];
  throw check.wrong(`addresses names ${JSON.stringify(address)}; allowed: host:port`);
}
