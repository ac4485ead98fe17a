import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Certificates, makeCertificates } from './certificates.ts';
import { allowKafka, type KafkaRight, makeKafkaUser, probeKafka, resetKafka } from './kafka-admin.ts';
import type { HostNode } from './host.ts';
import { formatKafka, javaArguments, kafkaJars, kafkaLogging, kafkaSettings, type NodePorts } from './kafka-node.ts';
import { translateKafka } from './kafka-translate.ts';
import { KafkaVisit } from './kafka-visit.ts';
import { java } from './kit.ts';
import { until } from './readiness.ts';
import type { Translate } from './proxy-pair.ts';
import type { Crate, Ground, Launch, Place, Plan, Recipe } from './recipe.ts';
import { type Ability, type RunningBroker, type StartOptions, TestbedError } from './running-broker.ts';

/** How clients say who they are. */
export type KafkaSasl = 'plain' | 'scram-sha-256' | 'scram-sha-512';

export interface KafkaStart extends StartOptions {
  /** From Maven: 3.9.x or 4.x. Processes only. Default 4.4.0. */
  readonly version?: string;
  /** Clients must give the URL's user and password. Processes only. Default: nobody is asked. */
  readonly sasl?: KafkaSasl;
  /** TLS on its port, and no plain one; with `mutual` clients must show a certificate. Processes only. Default false. */
  readonly tls?: boolean | 'mutual';
  /** Users have only the rights that `allow` gives them; the URL's user has all. Needs `sasl`. Default false. */
  readonly acl?: boolean;
  /** 1, or 3 that hold every topic together, without `sasl` and `tls`. Processes only. Default 1. */
  readonly nodes?: 1 | 3;
  /** Java optimises what runs often, as in production: faster in the end, and slow until then. Default false. */
  readonly fullSpeed?: boolean;
  /** Properties of the broker, beside or instead of the testbed's: names as in `server.properties`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface KafkaExtras {
  /** `host:port` without TLS and password, for the clients of tests. At a given address: that address. */
  readonly plain: string;
  /** Makes or changes a SCRAM-SHA-256 user; resolves with the URL of that user. It outlives restarts. */
  user(name: string, password: string): Promise<string>;
  /** Gives a user a right; see `KafkaStart.acl`. */
  allow(user: string, right: KafkaRight): Promise<void>;
  /** Files for clients; null without TLS. */
  readonly tls: Certificates | null;
  /** Its processes, by node id less 1. */
  readonly nodes: readonly KafkaNode[];
}

/** One of several. */
export interface KafkaNode {
  /** `host:port`. */
  readonly plain: string;
  /** SIGKILL. Resolves when the process is gone. */
  kill(): Promise<void>;
  /** After `kill`. Resolves when it is back among the others. */
  start(): Promise<void>;
}

export type KafkaBroker = RunningBroker & KafkaExtras;

const defaultVersion = '4.4.0';
/** Milliseconds for one answer. */
const patience = 5_000;
const mechanisms: readonly KafkaSasl[] = ['plain', 'scram-sha-256', 'scram-sha-512'];
/** The URL's user, where there is one. */
const owner = 'waybill';

export const kafka: Recipe<KafkaStart, KafkaExtras> = {
  name: 'kafka',
  kind: 'real',
  tools: () => [java],
  stock: ({ version = defaultVersion }) => kafkaJars(version),
  image: `apache/kafka:${defaultVersion}`,
  ports: (options) => (isSecured(options) ? 3 : 2 * (options.nodes ?? 1)),
  plan: (options, ports) => new KafkaPlan(options, ports),
  visit: (url) => new KafkaVisit(url),
};

/** Of the client, of the controller, and of the client again for the second node. */
function nodesOf(ports: readonly number[], count: number): readonly NodePorts[] {
  return Array.from({ length: count }, (_, node) => ({
    id: node + 1,
    client: ports[node * 2] ?? 0,
    controller: ports[node * 2 + 1] ?? 0,
  }));
}

/** Then there is a second, plain listener for the broker itself and for the testbed. */
function isSecured({ sasl, tls = false }: KafkaStart): boolean {
  return sasl !== undefined || tls !== false;
}

class KafkaPlan implements Plan<KafkaExtras> {
  readonly #options: KafkaStart;
  readonly #ports: readonly number[];
  readonly #password = randomBytes(24).toString('hex');
  readonly #cluster = `k${randomBytes(16).toString('base64url').slice(1)}`;
  readonly #nodes: readonly NodePorts[];
  #tls: Certificates | null = null;

  constructor(options: KafkaStart, ports: readonly number[]) {
    refuseBad(options);
    this.#options = options;
    this.#ports = ports;
    this.#nodes = nodesOf(ports, options.nodes ?? 1);
  }

  get nodes(): number {
    return this.#nodes.length;
  }

  get limits(): { readonly proxy?: string; readonly users?: string } {
    const { sasl, tls = false } = this.#options;
    return {
      ...(this.#nodes.length > 1 && { proxy: 'a proxy leads to one node, and there are several' }),
      ...(tls !== false && { proxy: 'with TLS a proxy can not change the addresses that Kafka tells its clients' }),
      ...(sasl === undefined && { users: 'this kafka asks nobody who they are; start it with `sasl`' }),
    };
  }

  async launch({ folder: root, program, stock: jars, node }: Ground): Promise<Launch> {
    const { tls = false } = this.#options;
    const folder = this.#nodes.length === 1 ? root : join(root, `node-${node + 1}`);
    await mkdir(folder, { recursive: true });
    if (tls !== false) this.#tls ??= await makeCertificates(folder);
    const settings = join(folder, 'server.properties');
    const logging = join(folder, 'log4j2.xml');
    const data = join(folder, 'data');
    await writeFile(settings, this.#settings(node, '127.0.0.1', data, folder), { mode: 0o600 });
    await writeFile(logging, kafkaLogging);
    if (!existsSync(join(data, 'meta.properties')))
      await formatKafka({ program, jars, settings, logging, cluster: this.#cluster });
    const heap = this.#nodes.length === 1 ? '-Xmx384m' : '-Xmx256m';
    const machine = ['-Xms128m', heap, '-XX:+UseG1GC', '-XX:-UsePerfData', ...this.#compiler];
    machine.push(`-Dkafka.logs.dir=${folder}`);
    return { program, args: [...machine, ...javaArguments({ jars, logging }), 'kafka.Kafka', settings] };
  }

  get crate(): Crate | string {
    const [client = 0] = this.#ports;
    if (isSecured(this.#options) || this.#options.version !== undefined || this.#nodes.length > 1)
      return 'sasl, TLS, several nodes and the choice of a version are offered in processes of our own only';
    const [settings, logging] = ['/tmp/waybill.properties', '/tmp/waybill-log4j2.xml'];
    const options = `-Dlog4j2.configurationFile=file:${logging} -cp '/opt/kafka/libs/*'`;
    const format = `java -Xmx128m -XX:TieredStopAtLevel=1 ${options} kafka.tools.StorageTool format --ignore-formatted -t ${this.#cluster} -c ${settings}`;
    return {
      // The same number inside: it is what clients are told.
      ports: [{ inside: client, outside: client }],
      command: [
        'sh',
        '-c',
        `${format} && exec java -Xmx384m ${this.#compiler.join(' ')} -Dkafka.logs.dir=/tmp ${options} kafka.Kafka ${settings}`,
      ],
      files: [
        { content: this.#settings(0, '0.0.0.0', '/tmp/waybill-data', '/tmp'), target: settings },
        { content: kafkaLogging, target: logging },
      ],
    };
  }

  printed(log: readonly string[]): string | null {
    for (const line of log) {
      const found = /Kafka version: (\d\S*)/.exec(line)?.[1];
      if (found !== undefined) return found;
    }
    return null;
  }

  url(place: Place): string {
    return this.#urlOf(place, owner, this.#password, this.#options.sasl);
  }

  async probe(place: Place, timeout: number): Promise<string> {
    if (this.#nodes.length === 1) return probeKafka(this.#plain(place), 1, timeout);
    const answers = this.#nodes.map(({ client }) =>
      probeKafka({ ...place, port: client }, this.#nodes.length, timeout),
    );
    return (await Promise.all(answers))[0] ?? 'unknown';
  }

  hopeless(): boolean {
    return false;
  }

  translate(broker: Place, proxy: Place): Translate {
    return translateKafka(broker, proxy);
  }

  reset(place: Place): Promise<void> {
    return resetKafka(this.#plain(place));
  }

  async restore(place: Place): Promise<void> {
    const { sasl } = this.#options;
    if (sasl === 'scram-sha-256' || sasl === 'scram-sha-512')
      await makeKafkaUser(this.#plain(place), { name: owner, password: this.#password, mechanism: sasl });
  }

  extras(place: Place, users: Ability, nodes: readonly HostNode[]): KafkaExtras {
    const plain = this.#plain(place);
    return {
      plain: `${plain.host}:${plain.port}`,
      tls: this.#tls,
      user: async (name, password) => {
        if (users !== true) throw new TestbedError(users);
        await makeKafkaUser(plain, { name, password, mechanism: 'scram-sha-256' });
        return this.#urlOf(place, name, password, 'scram-sha-256');
      },
      allow: (user, right) => allowKafka(plain, user, right),
      nodes: nodes.map((node, index) => {
        const own = { host: place.host, port: this.#nodes[index]?.client ?? 0 };
        return {
          plain: `${own.host}:${own.port}`,
          kill: () => node.kill(),
          start: async () => {
            await node.start();
            await until(() => probeKafka(own, this.#nodes.length, patience), { deadline: 60_000 });
          },
        };
      }),
    };
  }

  /** The first of its two compilers is enough for a test, and leaves the processor to others. */
  get #compiler(): readonly string[] {
    return this.#options.fullSpeed === true ? [] : ['-XX:TieredStopAtLevel=1'];
  }

  #plain({ host, port }: Place): Place {
    return { host, port: isSecured(this.#options) ? (this.#ports[2] ?? 0) : port };
  }

  #urlOf({ host, port }: Place, user: string, password: string, sasl: KafkaSasl | undefined): string {
    const scheme = (this.#options.tls ?? false) === false ? 'kafka' : 'kafkas';
    const others = this.#nodes.slice(1).map(({ client }) => `,${host}:${client}`);
    if (sasl === undefined) return `${scheme}://${host}:${port}${others.join('')}`;
    return `${scheme}://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}?sasl=${sasl}`;
  }

  #settings(node: number, bind: string, data: string, folder: string): string {
    const { sasl, tls = false, acl = false, settings = {} } = this.#options;
    return kafkaSettings({
      nodes: this.#nodes,
      id: node + 1,
      bind,
      plain: isSecured(this.#options) ? (this.#ports[2] ?? 0) : null,
      data,
      user: sasl === undefined ? null : { name: owner, password: this.#password },
      folderOfKeys: tls === false ? null : folder,
      mutual: tls === 'mutual',
      acl,
      settings,
    });
  }
}

function refuseBad({ version, sasl, tls = false, acl = false, nodes = 1, fullSpeed = false }: KafkaStart): void {
  if (version !== undefined && !/^(?:3\.9|4\.\d+)\.\d+$/.test(version))
    throw new TestbedError(`kafka: version is '${version}'; allowed: 3.9.x and 4.x.y, as '${defaultVersion}'`);
  if (sasl !== undefined && !mechanisms.includes(sasl))
    throw new TestbedError(`kafka: sasl is '${sasl}'; allowed: ${mechanisms.join(', ')}`);
  if (tls !== true && tls !== false && tls !== 'mutual')
    throw new TestbedError(`kafka: tls is '${String(tls)}'; allowed: true, false, 'mutual'`);
  if (typeof fullSpeed !== 'boolean')
    throw new TestbedError(`kafka: fullSpeed is '${String(fullSpeed)}'; allowed: true, false`);
  if (typeof acl !== 'boolean') throw new TestbedError(`kafka: acl is '${String(acl)}'; allowed: true, false`);
  if (acl && sasl === undefined) throw new TestbedError('kafka: acl needs sasl: without users there are no rights');
  if (nodes !== 1 && nodes !== 3) throw new TestbedError(`kafka: nodes is '${String(nodes)}'; allowed: 1, 3`);
  if (nodes === 3 && (sasl !== undefined || tls !== false))
    throw new TestbedError('kafka: three nodes are offered without sasl and tls');
}
