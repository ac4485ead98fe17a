import type { SQSClient, SQSClientConfig } from '@aws-sdk/client-sqs';
import { type Duration, OptionChecks } from '@waybill/core/adapter';

type Credentials = NonNullable<SQSClientConfig['credentials']>;

/** Of an SNS client, what is used: whoever has no such package must be able to read these types. */
interface ForeignClient {
  send(command: never, options?: never): Promise<unknown>;
}

export interface SqsOptions {
  /**
   * `sqs:` (region from the environment), `sqs://eu-west-1`, or `sqs+http://127.0.0.1:9324` for an endpoint; `sqs-fifo`
   * likewise. User and password are an access key's id and secret. Options below win over it.
   */
  readonly url?: string;
  /** Also `?region=` in the URL. Default: as the AWS SDK finds it; `us-east-1` for an endpoint by plain HTTP. */
  readonly region?: string;
  /** A VPC endpoint or the like, `https://…`, with a `sqs:` URL. */
  readonly endpoint?: string;
  /**
   * A key, or a provider such as those of `@aws-sdk/credential-providers` (roles, profiles). Default: the SDK's chain; for
   * an endpoint by plain HTTP a made-up key, so that no real one is ever sent there.
   */
  readonly credentials?: Credentials;
  /**
   * Clients of your own: one for long polls, one for all else, and one of `@aws-sdk/client-sns` with `fanout: 'sns'`. They
   * are never destroyed. Set their timeouts yourself.
   */
  readonly clients?: { readonly poll: SQSClient; readonly rest: SQSClient; readonly sns?: ForeignClient };
  /**
   * Who brings a topic's messages to the queues of its groups. `direct` (default): this adapter, by a send per group.
   * `sns`: an SNS topic, by one publish. That needs the package `@aws-sdk/client-sns`; `not-found` when it is missing.
   */
  readonly fanout?: 'direct' | 'sns';
  /** Where SNS is, `https://…`, with `fanout: 'sns'`. Default: where SQS is, if that was given; else AWS. */
  readonly snsEndpoint?: string;
  /** Put before the name of every queue: up to 32 letters, digits, `-` and `_`. Also `?queuePrefix=` in the URL. */
  readonly queuePrefix?: string;
  /** Whether a topic's groups are looked for with `ListQueues`. Without: those declared in `topics.<name>.groups`. Default true. */
  readonly discover?: boolean;
  /**
   * How old a publisher's list of groups may be, and so how long a new group's first `provision` takes. 0 to 5 min; default
   * 5 s. 0 asks before every send.
   */
  readonly groupRefresh?: Duration;
  /**
   * The longest poll of an idle subscription, and so of its close. Whole seconds up to 20 s; default 20 s. 0 asks without
   * waiting, twice a second and oftener: for emulators that wait badly, since SQS is paid for by the call.
   */
  readonly pollWait?: Duration;
  /** The lease of subscriptions that name none. 2 s to 12 h; default 30 s. */
  readonly lease?: Duration;
  /** A call that has no answer for this long, on top of its poll, is given up. 500 ms to 60 s; default 10 s. */
  readonly timeout?: Duration;
  /** False: the SDK leaves out its MD5 check of bodies, as a FIPS build of OpenSSL needs it. Default true. */
  readonly md5?: boolean;
  /** Whether another program's SNS envelope is unwrapped. Default true. */
  readonly unwrapSns?: boolean;
  /** Tags of the queues that are created. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Accepts queues with a redrive policy of their own. Its `maxReceiveCount` must be far above `maxDeliveries`. Default false. */
  readonly allowRedrivePolicy?: boolean;
  /** The KMS key (id, ARN or alias) of the queues that are created. Default: SQS's own encryption. */
  readonly kmsKey?: string;
}

/** Options, checked and complete. Times in ms. */
export interface Settings {
  readonly fifo: boolean;
  /** `sqs` or `sqs-fifo`. */
  readonly name: 'sqs' | 'sqs-fifo';
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly credentials: Credentials | null;
  readonly clients: SqsOptions['clients'] | null;
  readonly fanout: 'direct' | 'sns';
  readonly snsEndpoint: string | null;
  readonly queuePrefix: string;
  readonly discover: boolean;
  readonly groupRefresh: number;
  readonly pollWait: number;
  readonly lease: number;
  readonly timeout: number;
  readonly md5: boolean;
  readonly unwrapSns: boolean;
  readonly tags: Readonly<Record<string, string>>;
  readonly kmsKey: string | null;
  readonly allowRedrivePolicy: boolean;
  readonly client: string;
}

const check = new OptionChecks('sqs');
const known =
  'url region endpoint credentials clients fanout snsEndpoint queuePrefix discover groupRefresh pollWait lease timeout md5 unwrapSns tags kmsKey allowRedrivePolicy'.split(
    ' ',
  );
const madeUp = { accessKeyId: 'waybill', secretAccessKey: 'waybill' };

/** @throws WaybillError `invalid`, without a secret in it. */
export function settingsOf(options: SqsOptions, client: string, usual: 'sqs' | 'sqs-fifo'): Settings {
  check.known(options, known);
  const schemes = [usual, `${usual}+http`, `${usual}+https`];
  const url = check.url(options.url ?? `${usual}:`, schemes, ['region', 'queuePrefix']);
  const [, protocol] = url.scheme.split('+');
  const { hosts, params, path } = url;
  if (hosts.length > 1 || (path !== null && path !== ''))
    throw check.wrong('the URL has several hosts or a path; allowed: one region, or one endpoint');
  const [host] = hosts;
  if (protocol !== undefined && host === undefined) throw check.wrong(`a ${url.scheme} URL needs a host`);
  if (protocol === undefined && host !== undefined && host.port !== null)
    throw check.wrong(
      `the host of a ${url.scheme} URL is a region, without a port; an endpoint is ${usual}+https://host:port`,
    );
  const plain = protocol === 'http';
  if (protocol !== undefined && options.endpoint !== undefined)
    throw check.wrong(`endpoint needs a ${usual}: URL; this one names an endpoint itself`);
  const endpoint =
    protocol === undefined
      ? endpointOf('endpoint', options.endpoint)
      : addressOf(protocol, host?.host ?? '', host?.port);
  const fanout = check.oneOf('fanout', options.fanout, ['direct', 'sns']);
  if (fanout === 'direct' && options.snsEndpoint !== undefined) throw check.wrong("snsEndpoint needs fanout: 'sns'");
  const clients = clientsOf(options.clients, fanout);
  for (const name of ['region', 'endpoint', 'credentials', 'snsEndpoint', 'md5'] as const)
    if (clients !== null && options[name] !== undefined) throw check.wrong(`${name} is a matter of the clients given`);
  const kmsKey = check.text('kmsKey', options.kmsKey);
  if (kmsKey === '') throw check.wrong("kmsKey is empty; leave it out for SQS's own encryption");
  return {
    fifo: usual === 'sqs-fifo',
    name: usual,
    region: regionOf(options.region ?? params['region'] ?? (protocol === undefined ? host?.host : undefined), plain),
    endpoint,
    credentials: options.credentials ?? keyOf(url.username, url.password) ?? (plain ? madeUp : null),
    clients,
    fanout,
    snsEndpoint: endpointOf('snsEndpoint', options.snsEndpoint) ?? endpoint,
    queuePrefix: prefixOf(options.queuePrefix ?? params['queuePrefix'] ?? ''),
    discover: check.flag('discover', options.discover, true),
    groupRefresh: check.time('groupRefresh', options.groupRefresh ?? '5s', 0, 300_000),
    pollWait: seconds('pollWait', options.pollWait ?? '20s', 0, 20_000),
    lease: check.time('lease', options.lease ?? '30s', 2_000, 43_200_000),
    timeout: check.time('timeout', options.timeout ?? '10s', 500, 60_000),
    md5: check.flag('md5', options.md5, true),
    unwrapSns: check.flag('unwrapSns', options.unwrapSns, true),
    tags: tagsOf(options.tags),
    kmsKey,
    allowRedrivePolicy: check.flag('allowRedrivePolicy', options.allowRedrivePolicy, false),
    client,
  };
}

function regionOf(region: unknown, plain: boolean): string | null {
  if (region === undefined) return plain ? 'us-east-1' : null;
  if (typeof region === 'string' && /^[a-z]{2,}(-[a-z0-9]+)+$/.test(region)) return region;
  throw check.wrong(`region is ${JSON.stringify(region)}; allowed: a region's name, such as eu-west-1`);
}

function endpointOf(name: string, endpoint: unknown): string | null {
  if (endpoint === undefined) return null;
  if (typeof endpoint === 'string' && /^https?:\/\/[a-z0-9][a-z0-9.-]*(:\d{1,5})?\/?$/i.test(endpoint)) return endpoint;
  throw check.wrong(name + ' must be http:// or https:// with a host, and a port where it needs one');
}

function addressOf(protocol: string, host: string, port: number | null | undefined): string {
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}${port === null || port === undefined ? '' : `:${port}`}`;
}

function keyOf(accessKeyId: string | null, secretAccessKey: string | null): Credentials | null {
  if (accessKeyId === null && secretAccessKey === null) return null;
  if (accessKeyId !== null && secretAccessKey !== null) return { accessKeyId, secretAccessKey };
  throw check.wrong('the URL has an access key id or its secret, but not both');
}

function clientsOf(clients: SqsOptions['clients'], fanout: 'direct' | 'sns'): SqsOptions['clients'] | null {
  if (clients === undefined) return null;
  const sends = (client: unknown): boolean => typeof (client as { send?: unknown } | undefined)?.send === 'function';
  if (!sends(clients.poll) || !sends(clients.rest))
    throw check.wrong('clients must be { poll, rest }, two clients of @aws-sdk/client-sqs');
  if (fanout === 'sns' && !sends(clients.sns))
    throw check.wrong("clients must have one of @aws-sdk/client-sns as `sns`, with fanout: 'sns'");
  return clients;
}

function prefixOf(prefix: unknown): string {
  if (typeof prefix === 'string' && /^[\w-]{0,32}$/.test(prefix)) return prefix;
  throw check.wrong(`queuePrefix is ${JSON.stringify(prefix)}; allowed: up to 32 letters, digits, - and _`);
}

function tagsOf(tags: unknown): Readonly<Record<string, string>> {
  if (tags === undefined) return {};
  const valid =
    typeof tags === 'object' && tags !== null && Object.values(tags).every((one) => typeof one === 'string');
  if (valid) return tags as Record<string, string>;
  throw check.wrong('tags must be an object of names and texts');
}

function seconds(name: string, value: Duration, least: number, most: number): number {
  const ms = check.time(name, value, least, most);
  if (ms % 1_000 === 0) return ms;
  throw check.wrong(`${name} is ${JSON.stringify(value)}; allowed: whole seconds`);
}
