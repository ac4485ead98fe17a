import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type Duration, hostsOf, OptionChecks } from '@waybill/core/adapter';

export interface RabbitOptions {
  /**
   * `amqp://user:password@host:5672/vhost`, or `amqps:` with TLS. Several hosts, joined by commas, are tried in turn.
   * Without a user: `guest`, as the server has it. Options below win over it.
   */
  readonly url?: string;
  readonly username?: string;
  readonly password?: string;
  /** Default `/`. */
  readonly vhost?: string;
  /** With `amqps:` only: certificates and the like, as Node's `tls.connect` takes them. */
  readonly tls?: ConnectionOptions;
  /** How to log in. `external`: by the client certificate. Default `plain`. Also `?sasl=` in the URL. */
  readonly sasl?: 'plain' | 'external';
  /** The oldest server assumed, checked at `connect`; it selects the manifest. Default `3.10`. Also `?server=` in the URL. */
  readonly server?: '3.10' | '4.0' | '4.3';
  /**
   * The type of the groups' queues. `quorum` (default): fsynced, replicated in a cluster, counts deliveries. `classic`:
   * on one node, counts none. A queue that exists is never changed. Also `?queues=` in the URL.
   */
  readonly queues?: 'quorum' | 'classic';
  /** Most messages that wait in one queue; beyond it publishes are refused (`throttled`). Default: none. 1 to 2^31 - 1. */
  readonly maxLength?: number;
  /**
   * Quorum queues: so often the server redelivers a message before it dead-letters it by itself: the net below
   * `maxDeliveries`, for what no consumer of Waybill judges. Hand-overs count, too. 20 to 1,000,000; default 1,000.
   */
  readonly deliveryLimit?: number;
  /** Whether messages can be held back: 19 queues per vhost, made once. Without them delay and requeue are refused. Default true. */
  readonly delays?: boolean;
  /** A silent peer is given up after two to three of these. 1 s to 60 s, in whole seconds; default 5 s. */
  readonly heartbeat?: Duration;
  /** What the server has as `consumer_timeout`: the longest that a delivery may be held. 1 min to 24 h; default 30 min. */
  readonly consumerTimeout?: Duration;
  /** To dial one host, and for the server's answer to a request. 100 ms to 60 s; default 5 s. */
  readonly timeout?: Duration;
}

/** Options, checked and complete. */
export interface Settings {
  /** Not empty. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  readonly tls: ConnectionOptions | null;
  readonly sasl: 'plain' | 'external';
  readonly server: (typeof servers)[number];
  readonly queues: (typeof queueTypes)[number];
  readonly maxLength: number | null;
  readonly deliveryLimit: number;
  readonly delays: boolean;
  /** Milliseconds, whole seconds. */
  readonly heartbeat: number;
  readonly consumerTimeout: number;
  readonly timeout: number;
  readonly client: string;
}

const check = new OptionChecks('rabbitmq');
const known =
  'url username password vhost tls sasl server queues maxLength deliveryLimit delays heartbeat consumerTimeout timeout'.split(
    ' ',
  );
const logins = ['plain', 'external'] as const;
const servers = ['3.10', '4.0', '4.3'] as const;
const queueTypes = ['quorum', 'classic'] as const;

/** @throws WaybillError `invalid`, without a secret in it. */
export function settingsOf(options: RabbitOptions, client: string): Settings {
  check.known(options, known);
  const url = check.url(options.url ?? 'amqp://127.0.0.1:5672', ['amqp', 'amqps'], ['sasl', 'server', 'queues']);
  const { scheme, hosts, path, params } = url;
  const secure = scheme === 'amqps';
  if (options.tls !== undefined && !secure) throw check.wrong('tls needs an amqps: URL');
  const sasl = check.oneOf('sasl', options.sasl ?? params['sasl'], logins);
  if (sasl === 'external' && !secure)
    throw check.wrong(`sasl 'external' logs in by certificate, so it needs an amqps: URL`);
  const username = check.text('username', options.username) ?? url.username;
  const password = check.text('password', options.password) ?? url.password;
  if (sasl === 'external' && (username !== null || password !== null))
    throw check.wrong(`sasl 'external' logs in by certificate; leave user name and password out`);
  const first = hosts[0]?.host ?? '127.0.0.1';
  const queues = check.oneOf('queues', options.queues ?? params['queues'], queueTypes);
  const heartbeat = check.time('heartbeat', options.heartbeat ?? '5s', 1_000, 60_000);
  if (heartbeat % 1_000 !== 0) throw check.wrong(`heartbeat is ${heartbeat} ms; allowed: whole seconds`);
  if (queues === 'classic' && options.deliveryLimit !== undefined)
    throw check.wrong('deliveryLimit needs quorum queues; classic ones count no deliveries');
  return {
    hosts: hostsOf(url, secure ? 5671 : 5672),
    username: username ?? (password === null ? 'guest' : ''),
    password: password ?? (username === null ? 'guest' : ''),
    vhost: nonEmpty('vhost', options.vhost) ?? (path === null || path === '' ? '/' : path),
    tls: secure ? { ...(hosts.length < 2 && isIP(first) === 0 && { servername: first }), ...options.tls } : null,
    sasl,
    server: check.oneOf('server', options.server ?? params['server'], servers),
    queues,
    maxLength: options.maxLength === undefined ? null : check.whole('maxLength', options.maxLength, 1, 2 ** 31 - 1),
    deliveryLimit: check.whole('deliveryLimit', options.deliveryLimit ?? 1_000, 20, 1_000_000),
    delays: check.flag('delays', options.delays, true),
    heartbeat,
    consumerTimeout: check.time('consumerTimeout', options.consumerTimeout ?? '30m', 60_000, 86_400_000),
    timeout: check.time('timeout', options.timeout ?? '5s', 100, 60_000),
    client,
  };
}

function nonEmpty(name: string, value: unknown): string | null {
  const given = check.text(name, value);
  if (given !== '') return given;
  throw check.wrong(`${name} is empty; leave it out for the vhost /`);
}
