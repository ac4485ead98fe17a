import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { maskUrl } from '@waybill/core/adapter';
import { type Certificates, makeCertificates } from './certificates.ts';
import { movedTo, readGiven } from './given-url.ts';
import type { Crate, Ground, Launch, Place, Plan, Recipe, Visit } from './recipe.ts';
import { ask, type Reply, ReplyError, type RespAddress } from './resp.ts';
import { type Ability, type RunningBroker, type StartOptions, TestbedError } from './running-broker.ts';

export interface RedisStart extends StartOptions {
  /**
   * When its append-only file is forced to the disk, or `off` for none. Default `always`. With `everysec` a killed
   * process can lose what it has answered: while a slow fsync runs in the background, Redis puts off its writes for up
   * to two seconds, and answers all the same. `no` writes before it answers, so only a power cut tells it from `always`.
   */
  readonly fsync?: 'always' | 'everysec' | 'no' | 'off';
  /** TLS on its port, and no plain one; with `mutual` clients must show a certificate. Processes only. Default false. */
  readonly tls?: boolean | 'mutual';
}

export interface RedisExtras {
  /** One command, by a client of the testbed's own, on the broker itself. Bulk strings come as bytes. */
  command(...words: (string | Uint8Array)[]): Promise<Reply>;
  /** Makes or changes an ACL user; resolves with the URL of that user. It outlives restarts. */
  acl(user: string, password: string, ...rules: string[]): Promise<string>;
  /** Files for clients; null without TLS. */
  readonly tls: Certificates | null;
}

export type RedisBroker = RunningBroker & RedisExtras;

/** Milliseconds for one answer. */
const patience = 5_000;
const insideContainer = { port: 6379, file: '/waybill/redis.conf', data: '/data' };

export const redis: Recipe<RedisStart, RedisExtras> = {
  name: 'redis',
  kind: 'real',
  tools: () => [{ program: 'redis-server', debian: 'redis-server' }],
  image: 'redis:7.4',
  ports: () => 1,
  plan: (options, [port = 0]) => new RedisPlan(options, port),
  visit: (url) => new RedisVisit(url),
};

class RedisPlan implements Plan<RedisExtras> {
  readonly #options: RedisStart;
  readonly #password = randomBytes(24).toString('hex');
  readonly #users: (readonly string[])[] = [];
  readonly limits = {};
  readonly #port: number;
  #tls: Certificates | null = null;

  constructor(options: RedisStart, port: number) {
    const { fsync = 'always', tls = false } = options;
    const allowed = ['always', 'everysec', 'no', 'off'];
    if (!allowed.includes(fsync)) throw new TestbedError(`redis: fsync is '${fsync}'; allowed: ${allowed.join(', ')}`);
    if (tls !== true && tls !== false && tls !== 'mutual')
      throw new TestbedError(`redis: tls is '${String(tls)}'; allowed: true, false, 'mutual'`);
    this.#options = options;
    this.#port = port;
  }

  async launch({ folder, program }: Ground): Promise<Launch> {
    const { tls = false } = this.#options;
    if (tls !== false) this.#tls ??= await makeCertificates(folder);
    return { program, args: ['-'], input: this.#settings('127.0.0.1', this.#port, folder) };
  }

  get crate(): Crate | string {
    if (this.#options.tls !== undefined && this.#options.tls !== false)
      return 'TLS is offered in a process of our own only';
    const { port, file, data } = insideContainer;
    return {
      ports: [{ inside: port, outside: this.#port }],
      command: ['redis-server', file],
      // Inside all interfaces are its own; the port is mapped to loopback.
      files: [{ content: this.#settings('0.0.0.0', port, data), target: file }],
    };
  }

  url(place: Place): string {
    return urlOf(place, null, this.#password, this.#tls !== null);
  }

  probe(place: Place, timeout: number): Promise<string> {
    return probe(this.#address(place), timeout);
  }

  hopeless(): boolean {
    return false;
  }

  async reset(place: Place): Promise<void> {
    await ask(this.#address(place), ['FLUSHALL'], patience);
  }

  async restore(place: Place): Promise<void> {
    for (const user of this.#users) await ask(this.#address(place), user, patience);
  }

  extras(place: Place): RedisExtras {
    return {
      tls: this.#tls,
      command: (...words) => ask(this.#address(place), words, patience),
      acl: async (user, password, ...rules) => {
        const words = ['ACL', 'SETUSER', user, 'on', `>${password}`, ...rules];
        await ask(this.#address(place), words, patience);
        this.#users.push(words);
        return urlOf(place, user, password, this.#tls !== null);
      },
    };
  }

  #address({ host, port }: Place): RespAddress {
    const files = this.#tls;
    const tls =
      files === null
        ? null
        : { ca: readFileSync(files.ca), cert: readFileSync(files.cert), key: readFileSync(files.key) };
    return { host, port, username: null, password: this.#password, tls };
  }

  #settings(bind: string, port: number, folder: string): string {
    const { fsync = 'always', tls = false } = this.#options;
    const files = this.#tls;
    const listening =
      files === null
        ? [`port ${port}`]
        : [
            'port 0',
            `tls-port ${port}`,
            `tls-ca-cert-file ${files.ca}`,
            `tls-cert-file ${join(folder, 'server.crt')}`,
            `tls-key-file ${join(folder, 'server.key')}`,
            `tls-auth-clients ${tls === 'mutual' ? 'yes' : 'no'}`,
          ];
    const lines = [
      `bind ${bind}`,
      'protected-mode yes',
      ...listening,
      `dir ${JSON.stringify(folder)}`,
      'daemonize no',
      'logfile ""',
      'save ""',
      `appendonly ${fsync === 'off' ? 'no' : 'yes'}`,
      ...(fsync === 'off' ? [] : [`appendfsync ${fsync}`]),
      'stop-writes-on-bgsave-error no',
      `requirepass ${this.#password}`,
    ];
    return `${lines.join('\n')}\n`;
  }
}

/** A Redis that is not ours. */
class RedisVisit implements Visit<RedisExtras> {
  readonly place: Place;
  readonly #url: string;
  readonly #address: RespAddress;

  constructor(url: string) {
    this.#url = url;
    const { scheme, hosts, username, password } = readGiven(url);
    const [first] = hosts;
    if ((scheme !== 'redis' && scheme !== 'rediss') || first === undefined || hosts.length > 1)
      throw new TestbedError(`${maskUrl(url)} must be redis:// or rediss:// and one host`);
    this.place = { host: first.host, port: first.port ?? 6379 };
    const tls = scheme === 'rediss' ? { servername: first.host } : null;
    this.#address = { ...this.place, username, password, tls };
  }

  get limits(): { readonly proxy?: string } {
    return this.#address.tls === null ? {} : { proxy: 'at a rediss: address the certificate is not that of a proxy' };
  }

  /** The same with another host: user, database and parameters stay. */
  url({ host, port }: Place): string {
    if (host === this.place.host && port === this.place.port) return this.#url;
    return movedTo(this.#url, { host, port });
  }

  probe(place: Place, timeout: number): Promise<string> {
    return probe({ ...this.#address, ...place }, timeout);
  }

  /** It should be there: only a server that is loading its data is worth waiting for. */
  hopeless(error: unknown): boolean {
    return !(error instanceof ReplyError && error.message.startsWith('LOADING'));
  }

  reset(): Promise<void> {
    throw new TestbedError('what is at a given address is not ours to delete');
  }

  extras(place: Place, users: Ability): RedisExtras {
    return {
      tls: null,
      command: (...words) => ask({ ...this.#address, ...place }, words, patience),
      acl: () => Promise.reject(new TestbedError(String(users))),
    };
  }
}

/** Answers to PING are answers of a server that works: while it loads its data it says LOADING. */
async function probe(address: RespAddress, timeout: number): Promise<string> {
  const pong = await ask(address, ['PING'], timeout);
  if (pong !== 'PONG') throw new Error('it answers, but not as a Redis server does');
  // A user without the right to ask may work all the same.
  const info = await ask(address, ['INFO', 'server'], timeout).catch((error: unknown) => {
    if (error instanceof ReplyError) return null;
    throw error;
  });
  const text = Buffer.isBuffer(info) ? info.toString() : '';
  const say = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(text)?.[1];
  return say('valkey_version') ?? say('redis_version') ?? 'unknown';
}

function urlOf({ host, port }: Place, user: string | null, password: string, tls: boolean): string {
  const credentials = `${encodeURIComponent(user ?? '')}:${encodeURIComponent(password)}`;
  return `${tls ? 'rediss' : 'redis'}://${credentials}@${host}:${port}/0`;
}
