import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type Duration, duration, parseBrokerUrl, WaybillError } from '@waybill/core/adapter';

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

const known =
  'url username password vhost tls sasl server queues maxLength deliveryLimit delays heartbeat consumerTimeout timeout'.split(
    ' ',
  );
const inUrl = ['sasl', 'server', 'queues'];
const logins = ['plain', 'external'] as const;
const servers = ['3.10', '4.0', '4.3'] as const;
const queueTypes = ['quorum', 'classic'] as const;

/** @throws WaybillError `invalid`, without a secret in it. */
export function settingsOf(options: RabbitOptions, client: string): Settings {
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw wrong(`option ${name} is unknown; allowed: ${known.join(', ')}`);
  const { scheme, hosts, path, params, ...login } = parseBrokerUrl(options.url ?? 'amqp://127.0.0.1:5672');
  if (scheme !== 'amqp' && scheme !== 'amqps') throw wrong(`the URL's scheme is ${scheme}; allowed: amqp, amqps`);
  for (const name of Object.keys(params))
    if (!inUrl.includes(name)) throw wrong(`URL parameter ${name} is unknown; allowed: ${inUrl.join(', ')}`);
  const secure = scheme === 'amqps';
  if (options.tls !== undefined && !secure) throw wrong('tls needs an amqps: URL');
  const sasl = oneOf('sasl', options.sasl ?? params['sasl'], logins);
  if (sasl === 'external' && !secure) throw wrong(`sasl 'external' logs in by certificate, so it needs an amqps: URL`);
  const username = text('username', options.username) ?? login.username;
  const password = text('password', options.password) ?? login.password;
  if (sasl === 'external' && (username !== null || password !== null))
    throw wrong(`sasl 'external' logs in by certificate; leave user name and password out`);
  const usual = secure ? 5671 : 5672;
  const first = hosts[0]?.host ?? '127.0.0.1';
  const queues = oneOf('queues', options.queues ?? params['queues'], queueTypes);
  const heartbeat = milliseconds('heartbeat', options.heartbeat ?? '5s', 1_000, 60_000);
  if (heartbeat % 1_000 !== 0) throw wrong(`heartbeat is ${heartbeat} ms; allowed: whole seconds`);
  if (queues === 'classic' && options.deliveryLimit !== undefined)
    throw wrong('deliveryLimit needs quorum queues; classic ones count no deliveries');
  return {
    hosts:
      hosts.length === 0
        ? [{ host: first, port: usual }]
        : hosts.map(({ host, port }) => ({ host, port: port ?? usual })),
    username: username ?? (password === null ? 'guest' : ''),
    password: password ?? (username === null ? 'guest' : ''),
    vhost: nonEmpty('vhost', options.vhost) ?? (path === null || path === '' ? '/' : path),
    tls: secure ? { ...(hosts.length < 2 && isIP(first) === 0 && { servername: first }), ...options.tls } : null,
    sasl,
    server: oneOf('server', options.server ?? params['server'], servers),
    queues,
    maxLength: options.maxLength === undefined ? null : whole('maxLength', options.maxLength, 1, 2 ** 31 - 1),
    deliveryLimit: whole('deliveryLimit', options.deliveryLimit ?? 1_000, 20, 1_000_000),
    delays: flag('delays', options.delays ?? true),
    heartbeat,
    consumerTimeout: milliseconds('consumerTimeout', options.consumerTimeout ?? '30m', 60_000, 86_400_000),
    timeout: milliseconds('timeout', options.timeout ?? '5s', 100, 60_000),
    client,
  };
}

function wrong(rule: string): WaybillError {
  return new WaybillError('invalid', `rabbitmq: ${rule}`);
}

/** The first of what is allowed is the default. */
function oneOf<const T extends string>(name: string, value: unknown, allowed: readonly [T, ...T[]]): T {
  if (value === undefined) return allowed[0];
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw wrong(`${name} is ${JSON.stringify(value)}; allowed: ${allowed.join(', ')}`);
}

function whole(name: string, value: unknown, least: number, most: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw wrong(`${name} is ${JSON.stringify(value)}; allowed: whole numbers from ${least} to ${most}`);
}

function milliseconds(name: string, value: Duration, least: number, most: number): number {
  return whole(name, duration(value, `rabbitmq: ${name}`), least, most);
}

function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw wrong(`${name} is ${JSON.stringify(value)}; allowed: true, false`);
}

/** Never shows the value, which may be a password. */
function text(name: string, value: unknown): string | null {
  if (value === undefined || typeof value === 'string') return value ?? null;
  throw wrong(`${name} must be a string`);
}

function nonEmpty(name: string, value: unknown): string | null {
  const given = text(name, value);
  if (given !== '') return given;
  throw wrong(`${name} is empty; leave it out for the vhost /`);
}
