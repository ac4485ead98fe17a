import type { Harness, MissingTarget } from '@waybill/conformance';
import type { Io } from './io.ts';

/** A broker outside this process. */
export interface RealBroker {
  readonly name: string;
  /** Where one of its kind answers. */
  readonly variable: string;
  /** From the testbed: the address given, else a container, else a server of this run's own. */
  readonly start: (start: { readonly env: Io['env'] }) => Promise<Harness | MissingTarget>;
}

const sqs = async (...call: Parameters<typeof import('@waybill/conformance/harness/sqs').sqsHarness>) =>
  (await import('@waybill/conformance/harness/sqs')).sqsHarness(...call);

export const REAL_BROKERS: readonly RealBroker[] = [
  {
    name: 'kafka',
    variable: 'WAYBILL_KAFKA_URL',
    start: async (start) => (await import('@waybill/conformance/harness/kafka')).kafkaHarness({ start }),
  },
  {
    name: 'rabbitmq',
    variable: 'WAYBILL_RABBITMQ_URL',
    start: async (start) => (await import('@waybill/conformance/harness/rabbitmq')).rabbitmqHarness({ start }),
  },
  {
    name: 'redis',
    variable: 'WAYBILL_REDIS_URL',
    start: async (start) => (await import('@waybill/conformance/harness/redis')).redisHarness({ start }),
  },
  { name: 'sqs', variable: 'WAYBILL_SQS_URL', start: (start) => sqs('sqs', { start }) },
  { name: 'sqs-fifo', variable: 'WAYBILL_SQS_FIFO_URL', start: (start) => sqs('sqs-fifo', { start }) },
];

/** The broker, or why there is none to run on and what to do about it. */
export async function realTarget(broker: RealBroker, io: Io, required: boolean): Promise<Harness | MissingTarget> {
  const { name, variable, start } = broker;
  try {
    return await start({ env: io.env });
  } catch (error) {
    const why = error instanceof Error ? error.message : 'its testbed failed';
    return { name, required, missing: `${name} can't be used (${variable}): ${why}` };
  }
}
