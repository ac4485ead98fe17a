import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { jarsOf } from './jars.ts';
import type { Stock } from './stock.ts';

const run = promisify(execFile);
const logger = '2.25.4';

/** A broker, and a logger, without which it prints nothing. */
export function kafkaJars(version: string): Stock {
  return jarsOf({
    folder: `kafka-${version}`,
    artefacts: [
      `org.apache.kafka:kafka_2.13:${version}`,
      `org.apache.logging.log4j:log4j-slf4j-impl:${logger}`, // Kafka has SLF4J 1.x
      `org.apache.logging.log4j:log4j-core:${logger}`,
      `org.apache.logging.log4j:log4j-api:${logger}`,
    ],
    without: ['org.apache.kafka:kafka-tools-api'], // 4.4.0 names it and Maven does not have it; a broker runs without
  });
}

export const kafkaLogging = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%d{HH:mm:ss.SSS} %-5p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Logger name="org.apache.kafka.common.utils" level="INFO"/>
    <Root level="WARN"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
`;

export interface Formatting {
  readonly program: string;
  readonly jars: string;
  /** Paths of files. */
  readonly settings: string;
  readonly logging: string;
  /** 16 bytes in base64. */
  readonly cluster: string;
}

/** Makes the data folder that the settings name. Only once: what is formatted is refused. */
export async function formatKafka({ program, jars, settings, logging, cluster }: Formatting): Promise<void> {
  const machine = ['-Xmx128m', '-XX:TieredStopAtLevel=1', ...javaArguments({ jars, logging })];
  const format = ['kafka.tools.StorageTool', 'format', '-t', cluster, '-c', settings];
  await run(program, [...machine, ...format], { timeout: 60_000 });
}

export function javaArguments({ jars, logging }: { readonly jars: string; readonly logging: string }): string[] {
  return [`-Dlog4j2.configurationFile=file:${logging}`, '-cp', join(jars, '*')];
}

/** The ports of a node. */
export interface NodePorts {
  /** From 1. */
  readonly id: number;
  readonly client: number;
  readonly controller: number;
}

export interface KafkaSettings {
  /** All nodes: each is a broker and a controller. */
  readonly nodes: readonly NodePorts[];
  /** Which of them this is. */
  readonly id: number;
  readonly bind: string;
  /** Null: the client's port is plain. */
  readonly plain: number | null;
  readonly data: string;
  /** Null: nobody is asked who they are. */
  readonly user: { readonly name: string; readonly password: string } | null;
  /** Of certificates; null without TLS. */
  readonly folderOfKeys: string | null;
  readonly mutual: boolean;
  readonly acl: boolean;
  readonly settings: Readonly<Record<string, string>>;
}

/** Of a node that is small, and quick to start and to take part in groups. */
export function kafkaSettings(options: KafkaSettings): string {
  const { nodes, id, bind, plain, data, user, folderOfKeys, acl, settings } = options;
  const { client = 0, controller = 0 } = nodes.find((node) => node.id === id) ?? {};
  const copies = nodes.length;
  const tls = folderOfKeys !== null;
  const security = user === null ? (tls ? 'SSL' : 'PLAINTEXT') : tls ? 'SASL_SSL' : 'SASL_PLAINTEXT';
  const listeners = [`CLIENT://${bind}:${client}`, ...(plain === null ? [] : [`INNER://127.0.0.1:${plain}`])];
  const all: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': nodes.map((node) => `${node.id}@127.0.0.1:${node.controller}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': plain === null ? 'CLIENT' : 'INNER',
    listeners: [...listeners, `CONTROLLER://127.0.0.1:${controller}`].join(','),
    'advertised.listeners': listeners.join(',').replaceAll('0.0.0.0', '127.0.0.1'),
    'listener.security.protocol.map': `CLIENT:${security},INNER:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'log.dirs': data,
    'auto.create.topics.enable': false,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 500,
    // After kill -9 it comes back when its old session is over, and tries after 0.1, 0.3, 0.7, 1.5, 3.1, 6.1 s.
    'broker.session.timeout.ms': copies === 1 ? 1_400 : 3_000,
    'broker.heartbeat.interval.ms': copies === 1 ? 200 : 500,
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': copies,
    'default.replication.factor': copies,
    'min.insync.replicas': Math.ceil(copies / 2),
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': Math.ceil(copies / 2),
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': Math.ceil(copies / 2),
    'log.segment.bytes': 67_108_864,
    'log.segment.delete.delay.ms': 1_000,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'num.recovery.threads.per.data.dir': 1,
    ...(user !== null && saslSettings(user)),
    ...(folderOfKeys !== null && tlsSettings(folderOfKeys, options.mutual)),
    ...(acl && {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': `User:ANONYMOUS;User:${user?.name ?? ''}`, // the testbed's own listener asks for no user
    }),
    ...settings,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function saslSettings({
  name,
  password,
}: {
  readonly name: string;
  readonly password: string;
}): Record<string, string> {
  const module = 'org.apache.kafka.common.security';
  const scram = `${module}.scram.ScramLoginModule required;`;
  return {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.client.plain.sasl.jaas.config': `${module}.plain.PlainLoginModule required user_${name}="${password}";`,
    'listener.name.client.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.client.scram-sha-512.sasl.jaas.config': scram,
  };
}

function tlsSettings(folder: string, mutual: boolean): Record<string, string> {
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': join(folder, 'server.pem'),
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': join(folder, 'ca.crt'),
    'listener.name.client.ssl.client.auth': mutual ? 'required' : 'none',
  };
}
