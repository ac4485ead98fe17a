import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import type { RabbitmqBroker, RabbitmqStart } from '@waybill/testbed';
import { isMadeFor } from '../naming.ts';
import { type Harness, type MissingTarget, NotAble, type Spy } from '../target.ts';
import { Connections, deaths, startHarness } from './started.ts';

const module = '@waybill/rabbitmq';
/** The bytes with which AMQP's request to publish begins: class 60, method 40, and two that are always 0. */
const basicPublish = '\0\x3c\0\x28\0\0';

/** A short heartbeat, so that a silent connection is given up while somebody is looking. */
const usual = { heartbeat: '2s' };

export interface RabbitmqHarnessOptions {
  /** How to start the broker. */
  readonly start?: RabbitmqStart;
  /** Options of the adapter, beside the URL and the suite's usual ones. */
  readonly adapter?: Readonly<Record<string, unknown>>;
}

/**
 * RabbitMQ, from the testbed: private, with every fault, or at WAYBILL_RABBITMQ_URL, with none. There all objects of a
 * run stay: give it a virtual host that may be deleted.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export function rabbitmqHarness(options: RabbitmqHarnessOptions = {}): Promise<Harness | MissingTarget> {
  return startHarness('rabbitmq', options.start, module, (broker, adapters) =>
    harnessOf(broker, adapters, { ...usual, ...options.adapter }),
  );
}

async function harnessOf(
  broker: RabbitmqBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  const config = (url: string): AdapterConfig => ({ url, options, client: 'waybill-suite' });
  const make = (url: string): Adapter => adapters.createAdapter(config(url));
  const connections = await Connections.open(broker, make);
  return {
    name: 'rabbitmq',
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: make(broker.url).supports,
    adapter: () => connections.adapter(),
    faults: connections.ours ? { ...connections.faults(basicPublish), ...deaths(broker) } : {},
    ...(connections.ours && { spy: spyOf(broker) }),
    child: { module, config: config(connections.childUrl()) },
    healthy: () => reachable(make(broker.url)),
    ...(connections.ours && { tidy: (names: readonly string[]) => tidy(broker, names) }),
    close: () => broker[Symbol.asyncDispose](),
  };
}

/** A node that has hundreds of quorum queues takes long to come back. */
async function tidy(broker: RabbitmqBroker, names: readonly string[]): Promise<void> {
  for (const kind of ['queues', 'exchanges']) {
    const found = (await broker.api('GET', `/api/${kind}/%2F?columns=name`)) as { name: string }[];
    for (const { name } of found)
      if (isMadeFor(name, names)) await broker.api('DELETE', `/api/${kind}/%2F/${encodeURIComponent(name)}`);
  }
}

async function reachable(adapter: Adapter): Promise<boolean> {
  try {
    await adapter.connect(AbortSignal.timeout(10_000));
    return true;
  } catch {
    return false;
  } finally {
    await adapter.close();
  }
}

interface QueueCount {
  readonly name: string;
  readonly messages_unacknowledged?: number;
}

/** Looks at the broker's objects by its management plugin. */
function spyOf(broker: RabbitmqBroker): Spy {
  const named = async (kind: string): Promise<string[]> => {
    const found = (await broker.api('GET', `/api/${kind}?columns=name`)) as { name: string }[];
    return found.map(({ name }) => name);
  };
  const isOf = (topic: string, group: string, name: string): boolean => {
    const own = `${topic}__${group}`;
    return name === own || name.startsWith(`${own}__`);
  };
  return {
    objects: async (part) => {
      const names = [...(await named('queues')), ...(await named('exchanges'))];
      return [...new Set(names)].filter((name) => name.includes(part));
    },
    consumers: async (topic, group) => {
      const all = (await broker.api('GET', '/api/consumers')) as { queue: { name: string } }[];
      return all.filter(({ queue: { name } }) => isOf(topic, group, name)).length;
    },
    // Queues tell their counts every few seconds.
    inFlight: async (topic, group) => {
      const all = (await broker.api('GET', '/api/queues?columns=name,messages_unacknowledged')) as QueueCount[];
      return all.reduce((sum, one) => sum + (isOf(topic, group, one.name) ? (one.messages_unacknowledged ?? 0) : 0), 0);
    },
    put: async (topic, { body, headers, key = null }) => {
      const table: Record<string, unknown> = { ...headers, ...(key !== null && { 'waybill-key': key }) };
      const sent = (await broker.api('POST', `/api/exchanges/%2F/${encodeURIComponent(topic)}/publish`, {
        properties: { delivery_mode: 2, headers: table },
        routing_key: '-',
        payload: Buffer.from(body).toString('base64'),
        payload_encoding: 'base64',
      })) as { routed: boolean };
      if (!sent.routed) throw new NotAble(`nobody has provisioned a group of ${topic}`);
    },
  };
}
