import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { join } from 'node:path';
import { maskUrl, parseBrokerUrl } from '@waybill/core/adapter';
import { jarsOf } from './jars.ts';
import { java } from './kit.ts';
import { textOf } from './readiness.ts';
import type { Crate, Ground, Launch, Place, Plan, Recipe, Visit } from './recipe.ts';
import { type RunningBroker, type StartOptions, TestbedError } from './running-broker.ts';

export interface SqsStart extends StartOptions {
  /**
   * Whether queues and messages outlive the process. FIFO queues do not keep their order over a restart. Default false.
   */
  readonly durable?: boolean;
}

export interface SqsExtras {
  /** Where an SDK's `endpoint` points to. */
  readonly endpoint: string;
  /** One call of the SQS API, as `ListQueues`, by a client of the testbed's own. Not at AWS: it signs nothing. */
  call(operation: string, input?: object): Promise<Record<string, unknown>>;
}

export type SqsBroker = RunningBroker & SqsExtras;

type SqsName = 'sqs' | 'sqs-fifo';

/** Milliseconds for one answer. */
const patience = 5_000;
const version = '1.7.1';
const jars = jarsOf({
  folder: `elasticmq-${version}`,
  artefacts: [`org.elasticmq:elasticmq-server_2.13:${version}`],
  without: [],
});
const insideContainer = { port: 9324, file: '/opt/elasticmq.conf' };
const noUsers = 'ElasticMQ asks nobody who they are';

/** ElasticMQ, which serves both kinds of queues. Its URL differs by name, because the adapter's capabilities do. */
export function elasticmq(name: SqsName): Recipe<SqsStart, SqsExtras> {
  return {
    name,
    kind: 'emulator',
    tools: () => [java],
    stock: () => jars,
    image: `softwaremill/elasticmq:${version}`,
    ports: () => 1,
    plan: (options, [port = 0]) => new ElasticmqPlan(name, options, port),
    visit: (url) => new SqsVisit(name, url),
  };
}

class ElasticmqPlan implements Plan<SqsExtras> {
  readonly limits = { users: noUsers };
  readonly #name: SqsName;
  readonly #durable: boolean;
  readonly #port: number;

  constructor(name: SqsName, { durable = false }: SqsStart, port: number) {
    if (typeof durable !== 'boolean')
      throw new TestbedError(`${name}: durable is '${String(durable)}'; allowed: true, false`);
    this.#name = name;
    this.#durable = durable;
    this.#port = port;
  }

  async launch({ folder, program, stock }: Ground): Promise<Launch> {
    const config = join(folder, 'elasticmq.conf');
    const log = join(folder, 'logback.xml');
    await writeFile(config, this.#settings('127.0.0.1', this.#port, folder));
    await writeFile(log, logging);
    const machine = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
    const files = [`-Dlogback.configurationFile=${log}`, `-Dconfig.file=${config}`];
    return { program, args: [...machine, ...files, '-cp', join(stock, '*'), 'org.elasticmq.server.Main'] };
  }

  get crate(): Crate {
    const { port, file } = insideContainer;
    return {
      ports: [{ inside: port, outside: this.#port }],
      command: [],
      // Inside all interfaces are its own; the port is mapped to loopback.
      files: [{ content: this.#settings('0.0.0.0', port, '/tmp'), target: file }],
    };
  }

  printed(log: readonly string[]): string | null {
    for (const line of log) {
      const found = /ElasticMQ server \((\d[^)]*)\)/.exec(line)?.[1];
      if (found !== undefined) return found;
    }
    return null;
  }

  url({ host, port }: Place): string {
    return `${this.#name}+http://${host}:${port}`;
  }

  async probe(place: Place, timeout: number): Promise<string> {
    await call({ place, tls: false }, 'ListQueues', {}, timeout);
    return 'unknown';
  }

  hopeless(): boolean {
    return false;
  }

  async reset(place: Place): Promise<void> {
    const sqs = this.extras(place);
    const { QueueUrls = [] } = (await sqs.call('ListQueues')) as { QueueUrls?: string[] };
    for (const QueueUrl of QueueUrls) await sqs.call('DeleteQueue', { QueueUrl });
  }

  async restore(): Promise<void> {}

  extras(place: Place): SqsExtras {
    return {
      endpoint: `http://${place.host}:${place.port}`,
      call: (operation, input = {}) => call({ place, tls: false }, operation, input, patience),
    };
  }

  /** One file, since what it would include is not found by a path that is not whole. */
  #settings(host: string, port: number, folder: string): string {
    const storage = `jdbc:h2:file:${join(folder, 'elasticmq')};WRITE_DELAY=0`; // else kill -9 loses the last half second
    return `include classpath("application.conf")
rest-sqs { enabled = true, bind-hostname = "${host}", bind-port = ${port}, sqs-limits = strict }
rest-stats { enabled = false }
generate-node-address = false
node-address { protocol = http, host = "127.0.0.1", port = ${this.#port}, context-path = "" }
aws { region = "us-east-1", accountId = "000000000000" }
queues { }
messages-storage {
  enabled = ${this.#durable}
  driver-class = "org.h2.Driver"
  uri = ${JSON.stringify(storage)}
  username = "", password = "", prune-data-on-init = false
}
`;
  }
}

const logging = `<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <logger name="org.elasticmq" level="INFO"/>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
`;

/** An account at AWS (`sqs://eu-west-1`), or an emulator that is not ours (`sqs+http://host:port`). */
class SqsVisit implements Visit<SqsExtras> {
  readonly place: Place;
  readonly kind: 'real' | 'emulator';
  readonly limits: { readonly proxy?: string };
  readonly #url: string;
  readonly #tls: boolean;

  constructor(name: SqsName, url: string) {
    this.#url = url;
    let parts: ReturnType<typeof parseBrokerUrl>;
    try {
      parts = parseBrokerUrl(url);
    } catch (error) {
      throw new TestbedError(textOf(error)); // it shows no more of the URL than its scheme
    }
    const { scheme, hosts } = parts;
    const [first] = hosts;
    const allowed = [name, `${name}+http`, `${name}+https`];
    if (!allowed.includes(scheme) || first === undefined || hosts.length > 1)
      throw new TestbedError(`${maskUrl(url)} must be ${name}://region, or ${name}+http:// or +https:// and one host`);
    const aws = scheme === name;
    this.#tls = scheme !== `${name}+http`;
    this.kind = aws ? 'real' : 'emulator';
    this.place = aws
      ? { host: `sqs.${first.host}.amazonaws.com`, port: 443 }
      : { host: first.host, port: first.port ?? (this.#tls ? 443 : 80) };
    this.limits = this.#tls ? { proxy: 'at an address with TLS the certificate is not that of a proxy' } : {};
  }

  url({ host, port }: Place): string {
    if (host === this.place.host && port === this.place.port) return this.#url;
    return this.#url.replace(/^([^:]+:\/\/(?:[^/?@]*@)?)[^/?]*/, (_, before: string) => `${before}${host}:${port}`);
  }

  async probe(place: Place, timeout: number): Promise<string> {
    await call({ place, tls: this.#tls }, 'ListQueues', {}, timeout).catch((error: unknown) => {
      if (!(error instanceof SqsError)) throw error; // it refuses who does not sign, as it should
    });
    return 'unknown';
  }

  hopeless(): boolean {
    return true;
  }

  reset(): Promise<void> {
    throw new TestbedError('what is at a given address is not ours to delete');
  }

  extras(place: Place): SqsExtras {
    return {
      endpoint: `${this.#tls ? 'https' : 'http'}://${place.host}:${place.port}`,
      call: (operation, input = {}) => call({ place, tls: this.#tls }, operation, input, patience),
    };
  }
}

/** An answer that says no, in the words of SQS. */
class SqsError extends Error {
  override readonly name: string = 'SqsError';
}

interface Endpoint {
  readonly place: Place;
  readonly tls: boolean;
}

/** One request in the JSON protocol, on a connection of its own. */
function call(to: Endpoint, operation: string, input: object, timeout: number): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${operation}` };
    const options = { ...to.place, method: 'POST', path: '/', headers, timeout, agent: false };
    const asked = (to.tls ? requestTls : request)(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('error', reject);
      response.once('end', () => {
        const answer = read(text);
        if (answer === null) reject(new Error('it answers, but not as SQS does'));
        else if (response.statusCode === 200) resolve(answer);
        else reject(new SqsError(`${operation}: ${text}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${timeout} ms`)));
    asked.on('error', reject);
    asked.end(JSON.stringify(input));
  });
}

/** The answer to a call, or an error of AWS; null for anything else. */
function read(text: string): Record<string, unknown> | null {
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
