import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jarsOf } from './jars.ts';
import { java } from './kit.ts';
import type { Crate, Ground, Launch, Place, Plan, Recipe } from './recipe.ts';
import { callSqs } from './sqs-call.ts';
import { SqsVisit } from './sqs-visit.ts';
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

export type SqsName = 'sqs' | 'sqs-fifo';

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
    await callSqs({ place, tls: false }, 'ListQueues', {}, timeout);
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
      call: (operation, input = {}) => callSqs({ place, tls: false }, operation, input, patience),
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
