import type { Harness, MissingTarget } from '@waybill/conformance';
import { type Adapter, type AdapterConfig, type Facts, WaybillError } from '@waybill/core/adapter';
import { DEFAULTS, loadAdapterPackage } from '@waybill/core';
import type { Io } from './io.ts';

/** A broker outside this process, and the variable that says where one of its kind answers. */
export interface RealBroker {
  readonly name: string;
  readonly variable: string;
  readonly package: string;
  /** An address to show as an example. */
  readonly example: string;
}

export const REAL_BROKERS: readonly RealBroker[] = [
  { name: 'kafka', variable: 'WAYBILL_KAFKA_URL', package: '@waybill/kafka', example: 'kafka://localhost:9092' },
  {
    name: 'rabbitmq',
    variable: 'WAYBILL_RABBITMQ_URL',
    package: '@waybill/rabbitmq',
    example: 'amqp://localhost:5672',
  },
  { name: 'redis', variable: 'WAYBILL_REDIS_URL', package: '@waybill/redis', example: 'redis://localhost:6379' },
  { name: 'sqs', variable: 'WAYBILL_SQS_URL', package: '@waybill/sqs', example: 'sqs+http://localhost:9324' },
  {
    name: 'sqs-fifo',
    variable: 'WAYBILL_SQS_FIFO_URL',
    package: '@waybill/sqs',
    example: 'sqs-fifo+http://localhost:9324',
  },
];

/** The broker at its address, or why there is none to run on and what to do about it. */
export async function realTarget(broker: RealBroker, io: Io, required: boolean): Promise<Harness | MissingTarget> {
  const { name, variable, example } = broker;
  const url = io.env[variable];
  const start = fromTestbed[name];
  if (start !== undefined) {
    try {
      return await start(io);
    } catch (error) {
      const why = error instanceof Error ? error.message : 'its testbed failed';
      return { name, required, missing: `${name} can't be used (${variable}): ${why}` };
    }
  }
  if (url === undefined || url === '') {
    return { name, required, missing: `${variable} is not set; set it to the broker's address, such as ${example}` };
  }
  try {
    return await addressHarness(broker, url);
  } catch (error) {
    const why = WaybillError.is(error) ? error.message : 'its adapter failed';
    return { name, required, missing: `the broker at ${variable} can't be used: ${why}` };
  }
}

/**
 * From the testbed: the address given, else a container, else a server of this run's own. Leases are short, or the suite
 * would mostly wait for what a killed consumer held.
 */
const fromTestbed: Readonly<Record<string, (io: Io) => Promise<Harness | MissingTarget>>> = {
  kafka: async ({ env }) => {
    const { kafkaHarness } = await import('@waybill/conformance/harness/kafka');
    return kafkaHarness({ start: { env }, adapter: { lease: '1500ms', timeout: '3s', metadataAge: '2s' } });
  },
  rabbitmq: async ({ env }) => {
    const { rabbitmqHarness } = await import('@waybill/conformance/harness/rabbitmq');
    return rabbitmqHarness({ start: { env }, adapter: { heartbeat: '2s' } });
  },
  redis: async ({ env }) => {
    const { redisHarness } = await import('@waybill/conformance/harness/redis');
    return redisHarness({ start: { env }, adapter: { lease: '2s' } });
  },
  sqs: async ({ env }) => {
    const { sqsHarness } = await import('@waybill/conformance/harness/sqs');
    return sqsHarness('sqs', { start: { env } });
  },
  'sqs-fifo': async ({ env }) => {
    const { sqsHarness } = await import('@waybill/conformance/harness/sqs');
    return sqsHarness('sqs-fifo', { start: { env } });
  },
};

/**
 * A broker at a given address. No fault is injected there and nothing is looked at from outside; cases that want either
 * are `not-run`.
 */
async function addressHarness({ name, variable, package: from }: RealBroker, url: string): Promise<Harness> {
  const module = await loadAdapterPackage(from, variable);
  const config: AdapterConfig = { url, options: {}, client: 'waybill-suite' };
  const made = new Set<Adapter>();
  const adapter = (): Adapter => {
    const one = module.createAdapter(config);
    made.add(one);
    return one;
  };
  const first = adapter();
  const facts = await reach(first);
  return {
    name,
    how: 'address',
    kind: 'real',
    ...(typeof facts['version'] === 'string' && { version: facts['version'] }),
    supports: first.supports,
    adapter,
    faults: {},
    child: { module: from, config },
    healthy: () =>
      reach(adapter()).then(
        () => true,
        () => false,
      ),
    close: async () => void (await Promise.allSettled([...made].map((one) => one.close()))),
  };
}

/** Connects once and closes. @throws WaybillError saying what is wrong, without secrets */
export async function reach(adapter: Adapter, timeout: number = DEFAULTS.connectTimeout): Promise<Facts> {
  try {
    return await adapter.connect(AbortSignal.timeout(timeout));
  } catch (error) {
    if (WaybillError.is(error)) throw error;
    const message = error instanceof Error ? error.message : 'unknown error';
    throw new WaybillError(adapter.classify(error), `${adapter.name} does not answer: ${message}`, { cause: error });
  } finally {
    await adapter.close().catch(() => undefined);
  }
}
