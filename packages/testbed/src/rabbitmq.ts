import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { greetAmqp } from './amqp-greeting.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { callManagement, type ManagementAddress } from './rabbitmq-management.ts';
import { argumentsInTree, debianTree } from './debian-tree.ts';
import { nodeEnvironment, nodeSettings, plugins } from './rabbitmq-node.ts';
import { RabbitmqVisit } from './rabbitmq-visit.ts';
import { until } from './readiness.ts';
import type { Crate, Ground, Launch, Place, Plan, Recipe } from './recipe.ts';
import { type Ability, type RunningBroker, type StartOptions, TestbedError } from './running-broker.ts';

export interface RabbitmqStart extends StartOptions {
  /** The one of Debian 13's packages, beside this machine's own: needs root. Processes only. Default: what is installed. */
  readonly version?: '4.0';
  /**
   * TLS on its port, and no plain one; with `mutual` clients must show a certificate, and may log in by it
   * (user `client`, once it is there). Processes only. Default false.
   */
  readonly tls?: boolean | 'mutual';
  /** Lines of `rabbitmq.conf`, behind the testbed's. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Regular expressions for names: what may be made and deleted, written to, read from. Default: everything. */
export interface RabbitmqRights {
  readonly configure?: string;
  readonly write?: string;
  readonly read?: string;
  /** Default `/`. */
  readonly vhost?: string;
}

export interface RabbitmqExtras {
  /** One request to the management plugin, as `GET`, `/api/queues`; resolves with its JSON, or null where it has none. */
  api(method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, body?: object): Promise<unknown>;
  /** Makes or changes a user; resolves with its URL. It outlives restarts. */
  user(name: string, password: string, rights?: RabbitmqRights): Promise<string>;
  /** Makes a virtual host, in which the URL's user may do everything; resolves with the URL that leads there. */
  vhost(name: string): Promise<string>;
  /** Lets the broker run out of memory or of disk, as it believes, or ends that. A restart ends it too. Processes only. */
  alarm(kind: 'memory' | 'disk', on: boolean): Promise<void>;
  /** `module function [arguments]`, in the broker's own language and process; resolves with what it returns. Processes only. */
  evaluate(call: string): Promise<string>;
  /** Files for clients; null without TLS. */
  readonly tls: Certificates | null;
}

export type RabbitmqBroker = RunningBroker & RabbitmqExtras;

const run = promisify(execFile);
/** Not what is on the PATH: that one changes to a user and to folders of its own. */
const server = { program: '/usr/lib/rabbitmq/bin/rabbitmq-server', debian: 'rabbitmq-server' };
const trixie = debianTree('trixie', ['rabbitmq-server']);
const owner = 'waybill';
/** Milliseconds for an answer. */
const patience = 10_000;
/** In a container: the ports of the image, and where it reads its settings. */
const inside = { client: 5672, management: 15_672, settings: '/etc/rabbitmq/conf.d/20-waybill.conf' };

export const rabbitmq: Recipe<RabbitmqStart, RabbitmqExtras> = {
  name: 'rabbitmq',
  kind: 'real',
  tools: ({ version }) => [
    version === undefined ? server : { program: 'unshare', debian: 'util-linux' },
    { program: 'epmd', debian: 'erlang-base' },
    { program: 'erl_call', debian: 'erlang-base' },
  ],
  stock: ({ version }) => (version === undefined ? null : trixie),
  image: 'rabbitmq:4.1-management',
  ports: () => 4,
  plan: (options, ports) => new RabbitmqPlan(options, ports),
  visit: (url) => new RabbitmqVisit(url),
};

class RabbitmqPlan implements Plan<RabbitmqExtras> {
  readonly limits = {};
  readonly #options: RabbitmqStart;
  readonly #client: number;
  /** Of the name server of Erlang nodes, which says where this one is. */
  readonly #names: number;
  readonly #distribution: number;
  readonly #management: number;
  #password = randomBytes(24).toString('hex');
  #tls: Certificates | null = null;
  /** Null in a container. */
  #folder: string | null = null;

  constructor(options: RabbitmqStart, [client = 0, names = 0, distribution = 0, management = 0]: readonly number[]) {
    const { tls = false, version } = options;
    if (version !== undefined && version !== '4.0')
      throw new TestbedError(`rabbitmq: version is '${String(version)}'; allowed: '4.0'`);
    if (tls !== true && tls !== false && tls !== 'mutual')
      throw new TestbedError(`rabbitmq: tls is '${String(tls)}'; allowed: true, false, 'mutual'`);
    this.#options = options;
    this.#client = client;
    this.#names = names;
    this.#distribution = distribution;
    this.#management = management;
  }

  async launch({ folder, program, stock }: Ground): Promise<Launch> {
    const { tls = false, version } = this.#options;
    if (tls !== false) this.#tls ??= await makeCertificates(folder);
    this.#folder = folder;
    const settings = join(folder, 'rabbitmq.conf');
    // In a folder that was kept the user is there already.
    const before = /^default_pass = (\w+)$/m.exec(await readFile(settings, 'utf8').catch(() => ''))?.[1];
    this.#password = before ?? this.#password;
    await writeFile(settings, this.#settings('127.0.0.1', this.#client, this.#management), { mode: 0o600 });
    await writeFile(join(folder, 'enabled_plugins'), plugins);
    const [names, distribution] = [this.#names, this.#distribution];
    return {
      program,
      args: version === undefined ? [] : argumentsInTree(stock, folder, server.program),
      env: nodeEnvironment({ folder: this.#inner(folder), names, distribution }),
      // Else the node starts one that outlives it.
      companion: { program: 'epmd', args: ['-port', String(names), '-address', '127.0.0.1'] },
    };
  }

  get crate(): Crate | string {
    if ((this.#options.tls ?? false) !== false || this.#options.version !== undefined)
      return 'TLS and the choice of a version are offered in a process of our own only';
    const settings = this.#settings('0.0.0.0', inside.client, inside.management);
    return {
      ports: [
        { inside: inside.client, outside: this.#client },
        { inside: inside.management, outside: this.#management },
      ],
      command: [],
      files: [
        { content: settings, target: inside.settings },
        { content: plugins, target: '/etc/rabbitmq/enabled_plugins' },
      ],
    };
  }

  url(place: Place): string {
    return this.#urlOf(place, owner, this.#password);
  }

  /** The plugin answers a moment later than the broker itself. */
  async probe(place: Place, timeout: number): Promise<string> {
    const version = await greetAmqp(place, timeout, this.#tls);
    await callManagement(this.#manager(place), 'GET', '/api/whoami', undefined, timeout);
    return version;
  }

  hopeless(): boolean {
    return false;
  }

  /** Deletes every virtual host, which closes the connections to it, and makes the first one again. */
  async reset(place: Place): Promise<void> {
    const api = this.#api(place);
    const rights = (await api('GET', '/api/vhosts/%2F/permissions')) as (RabbitmqRights & { user: string })[];
    for (const { name } of (await api('GET', '/api/vhosts')) as { name: string }[])
      await api('DELETE', `/api/vhosts/${encodeURIComponent(name)}`);
    await api('PUT', '/api/vhosts/%2F');
    for (const { user, configure, write, read } of rights)
      await api('PUT', `/api/permissions/%2F/${encodeURIComponent(user)}`, { configure, write, read });
  }

  async restore(): Promise<void> {}

  extras(place: Place, users: Ability): RabbitmqExtras {
    const api = this.#api(place);
    const allow = (user: string, { configure = '.*', write = '.*', read = '.*', vhost = '/' }: RabbitmqRights) =>
      api('PUT', `/api/permissions/${encodeURIComponent(vhost)}/${encodeURIComponent(user)}`, {
        configure,
        write,
        read,
      });
    return {
      tls: this.#tls,
      api,
      user: async (name, password, rights = {}) => {
        if (users !== true) throw new TestbedError(users);
        await api('PUT', `/api/users/${encodeURIComponent(name)}`, { password, tags: '' });
        await allow(name, rights);
        return this.#urlOf(place, name, password, rights.vhost);
      },
      vhost: async (name) => {
        await api('PUT', `/api/vhosts/${encodeURIComponent(name)}`);
        await allow(owner, { vhost: name });
        return this.#urlOf(place, owner, this.#password, name);
      },
      alarm: (kind, on) => this.#alarm(kind, on),
      evaluate: (call) => this.#evaluate(call),
    };
  }

  #api(place: Place): RabbitmqExtras['api'] {
    return (method, path, body) => callManagement(this.#manager(place), method, path, body, patience);
  }

  async #alarm(kind: 'memory' | 'disk', on: boolean): Promise<void> {
    const calls = {
      memory: `vm_memory_monitor set_vm_memory_high_watermark [${on ? '0.000001' : '0.4'}]`,
      disk: `rabbit_disk_monitor set_disk_free_limit [${on ? '1000000000000000' : '50000000'}]`,
    };
    await this.#evaluate(calls[kind]);
    const seen = async (): Promise<void> => {
      const rings = (await this.#evaluate('rabbit_alarm get_alarms []')).includes(`resource_limit, ${kind}`);
      if (rings !== on) throw new Error(`the ${kind} alarm is ${rings ? 'on' : 'off'}`);
    };
    await until(seen, { deadline: 30_000 });
  }

  /** By a small program: the broker's own one for this starts a virtual machine. */
  async #evaluate(call: string): Promise<string> {
    if (this.#folder === null) throw new TestbedError('this is offered in a process of our own only');
    const env = { ...process.env, HOME: this.#folder, ERL_EPMD_PORT: String(this.#names) };
    const { stdout } = await run('erl_call', ['-sname', 'waybill@localhost', '-a', call], { env, timeout: patience });
    return stdout;
  }

  /** The folder as the broker sees it. */
  #inner(folder: string): string {
    return this.#options.version === undefined ? folder : '/mnt';
  }

  #manager({ host }: Place): ManagementAddress {
    return { host, port: this.#management, user: owner, password: this.#password };
  }

  #urlOf({ host, port }: Place, user: string, password: string, vhost = '/'): string {
    const scheme = (this.#options.tls ?? false) === false ? 'amqp' : 'amqps';
    const path = vhost === '/' ? '' : `/${encodeURIComponent(vhost)}`;
    return `${scheme}://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}${path}`;
  }

  #settings(bind: string, client: number, management: number): string {
    const { tls = false, settings = {} } = this.#options;
    const folderOfKeys = tls === false || this.#folder === null ? null : this.#inner(this.#folder);
    const user = { name: owner, password: this.#password };
    return nodeSettings({ bind, client, management, user, folderOfKeys, mutual: tls === 'mutual', settings });
  }
}
