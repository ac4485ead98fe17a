import { loadAdapterPackage } from '@waybill/core';
import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import {
  type BrokerProxy,
  describeNotRun,
  isNotRun,
  isRequired,
  type Losing,
  ProxyPool,
  type RabbitmqBroker,
  type RabbitmqStart,
  startBroker,
} from '@waybill/testbed';
import type { Fault } from '../case.ts';
import { type FaultAction, type Harness, type Heal, type MissingTarget, NotAble, type Spy } from '../target.ts';

const module = '@waybill/rabbitmq';

export interface RabbitmqHarnessOptions {
  /** How to start the broker. */
  readonly start?: RabbitmqStart;
  /** Options of the adapter, beside the URL. */
  readonly adapter?: Readonly<Record<string, unknown>>;
}

/**
 * RabbitMQ, from the testbed: private, with every fault, or at WAYBILL_RABBITMQ_URL, with none. There all objects of a
 * run stay: give it a virtual host that may be deleted.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export async function rabbitmqHarness(options: RabbitmqHarnessOptions = {}): Promise<Harness | MissingTarget> {
  const adapters = await loadAdapterPackage(module, 'the suite on RabbitMQ');
  const answer = await startBroker('rabbitmq', options.start);
  if (isNotRun(answer))
    return {
      name: 'rabbitmq',
      missing: describeNotRun(answer),
      required: isRequired('rabbitmq', options.start?.env ?? process.env),
    };
  try {
    return await harnessOf(answer, adapters, options.adapter ?? {});
  } catch (error) {
    await answer[Symbol.asyncDispose]();
    throw error;
  }
}

async function harnessOf(
  broker: RabbitmqBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  const config = (url: string): AdapterConfig => ({ url, options, client: 'waybill-suite' });
  const make = (url: string): Adapter => adapters.createAdapter(config(url));
  const pool = broker.can.kill === true ? await ProxyPool.open(broker) : null;
  const proxies = new Map<Adapter, BrokerProxy>();
  const adapter = (): Adapter => {
    if (pool === null) return make(broker.url);
    const proxy = pool.take();
    const made = make(proxy.url);
    proxies.set(made, proxy);
    return Object.assign(made, { close: closing(made, () => pool.release(proxy)) });
  };
  const proxyOf = (made: Adapter): BrokerProxy => {
    const proxy = proxies.get(made);
    if (proxy === undefined) throw new NotAble('this adapter is none of the harness');
    return proxy;
  };
  return {
    name: 'rabbitmq',
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: make(broker.url).supports,
    adapter,
    faults: pool === null ? {} : faultsOf(broker, pool, proxyOf),
    ...(pool !== null && { spy: spyOf(broker) }),
    child: { module, config: config(pool?.take().url ?? broker.url) },
    healthy: () => reachable(make(broker.url)),
    ...(pool !== null && { tidy: () => tidy(broker) }),
    close: () => broker[Symbol.asyncDispose](),
  };
}

/** A node that has hundreds of quorum queues takes long to come back. */
async function tidy(broker: RabbitmqBroker): Promise<void> {
  for (const kind of ['queues', 'exchanges']) {
    const found = (await broker.api('GET', `/api/${kind}/%2F?columns=name`)) as { name: string }[];
    for (const { name } of found)
      if (!/^(?:__|amq\.|$)/.test(name)) await broker.api('DELETE', `/api/${kind}/%2F/${encodeURIComponent(name)}`);
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

/** Its `close`, and then the end of its proxy. */
function closing(adapter: Adapter, then: () => Promise<void>): () => Promise<void> {
  const close = adapter.close.bind(adapter);
  return async () => {
    try {
      await close();
    } finally {
      await then();
    }
  };
}

function sever(proxy: BrokerProxy): void {
  proxy.refuse();
  proxy.cut();
}

const done: Heal = () => Promise.resolve();

function faultsOf(
  broker: RabbitmqBroker,
  pool: ProxyPool,
  proxyOf: (adapter: Adapter) => BrokerProxy,
): Partial<Record<Fault, FaultAction>> {
  const during = (adapters: readonly Adapter[], begin: (proxy: BrokerProxy) => void): Heal => {
    const end = pool.during(adapters.map(proxyOf), begin);
    return async () => end();
  };
  return {
    cut: async ({ adapters }) => during(adapters, sever),
    stall: async ({ adapters }) => during(adapters, (proxy) => proxy.stall()),
    'drop-responses': async ({ adapters }) => during(adapters, (proxy) => proxy.dropResponses()),
    slow: async ({ ms }) => during([], (proxy) => proxy.delay(ms / 2)), // there and back
    'kill-broker': async () => {
      await broker.kill();
      return () => broker.restart();
    },
    restart: async () => {
      await broker.restart({ how: 'kill' });
      return done;
    },
    pause: async () => {
      await broker.pause();
      return () => broker.unpause();
    },
    'crash-connection': async ({ adapters }) => {
      during(adapters, sever);
      return done; // it is dead: nobody heals it
    },
    // Every message that Waybill sends has this header, and no other request does.
    'unknown-outcome': async ({ adapters, count, stored }) => {
      const losing: Losing = { count, what: stored ? 'answer' : 'request', mark: 'waybill-time' };
      const end = pool.lose(adapters.map(proxyOf), losing);
      return async () => end();
    },
  };
}

/** Looks at the broker's objects by its management plugin. */
function spyOf(broker: RabbitmqBroker): Spy {
  const named = async (kind: string): Promise<string[]> => {
    const found = (await broker.api('GET', `/api/${kind}?columns=name`)) as { name: string }[];
    return found.map(({ name }) => name);
  };
  return {
    objects: async (part) => {
      const names = [...(await named('queues')), ...(await named('exchanges'))];
      return [...new Set(names)].filter((name) => name.includes(part));
    },
    consumers: async (topic, group) => {
      const all = (await broker.api('GET', '/api/consumers')) as { queue: { name: string } }[];
      const own = `${topic}__${group}`;
      return all.filter(({ queue: { name } }) => name === own || name.startsWith(`${own}__`)).length;
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
