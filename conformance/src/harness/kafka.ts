import { loadAdapterPackage } from '@waybill/core';
import type { Adapter, AdapterConfig, AdapterModule } from '@waybill/core/adapter';
import {
  type BrokerProxy,
  describeNotRun,
  isNotRun,
  isRequired,
  type KafkaBroker,
  type KafkaStart,
  type Losing,
  ProxyPool,
  startBroker,
} from '@waybill/testbed';
import type { Fault } from '../case.ts';
import { type FaultAction, type Harness, type Heal, type MissingTarget, NotAble } from '../target.ts';
import { KafkaOutside } from './kafka-outside.ts';

const module = '@waybill/kafka';

export interface KafkaHarnessOptions {
  /** How to start the broker. */
  readonly start?: KafkaStart;
  /** Options of the adapter, beside the URL. */
  readonly adapter?: Readonly<Record<string, unknown>>;
}

/** Retention is looked after every few minutes; a case about it must not wait for that. */
const settings = { 'log.retention.check.interval.ms': '300', 'log.initial.task.delay.ms': '300' };

/**
 * Kafka, from the testbed: private, with every fault, or at WAYBILL_KAFKA_URL, with none.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export async function kafkaHarness(options: KafkaHarnessOptions = {}): Promise<Harness | MissingTarget> {
  const adapters = await loadAdapterPackage(module, 'the suite on Kafka');
  const answer = await startBroker('kafka', { settings, ...options.start });
  if (isNotRun(answer))
    return {
      name: 'kafka',
      missing: describeNotRun(answer),
      required: isRequired('kafka', options.start?.env ?? process.env),
    };
  try {
    return await harnessOf(answer, adapters, options.adapter ?? {});
  } catch (error) {
    await answer[Symbol.asyncDispose]();
    throw error;
  }
}

async function harnessOf(
  broker: KafkaBroker,
  adapters: AdapterModule,
  options: Readonly<Record<string, unknown>>,
): Promise<Harness> {
  const config = (url: string): AdapterConfig => ({ url, options, client: 'waybill-suite' });
  const pool = broker.can.kill === true ? await ProxyPool.open(broker) : null;
  const outside = new KafkaOutside(broker.plain);
  const proxies = new Map<Adapter, BrokerProxy>();
  const made = new Set<string>();
  const adapter = (): Adapter => {
    const proxy = pool?.take() ?? null;
    const one = adapters.createAdapter(config(proxy?.url ?? broker.url));
    if (proxy !== null) proxies.set(one, proxy);
    const provision = one.provision.bind(one);
    const close = one.close.bind(one);
    return Object.assign(one, {
      provision: async (...call: Parameters<Adapter['provision']>) => {
        const [{ destination, groups }] = call;
        for (const { name } of [destination, ...groups.flatMap(({ inbox }) => inbox ?? [])]) made.add(name);
        await provision(...call);
      },
      close: async () => {
        try {
          await close();
        } finally {
          proxies.delete(one);
          if (proxy !== null) await pool?.release(proxy);
        }
      },
    });
  };
  return {
    name: 'kafka',
    how: broker.how,
    kind: broker.kind,
    version: broker.version,
    supports: adapters.createAdapter(config(broker.url)).supports,
    adapter,
    faults: pool === null ? {} : faultsOf(broker, pool, outside, proxies),
    spy: outside.spy(),
    child: { module, config: config(pool?.take().url ?? broker.url) },
    healthy: () => outside.answers(),
    close: async (): Promise<void> => {
      try {
        const there = pool === null ? await outside.topics() : [];
        await outside.deleteAll(there.filter((name) => made.has(name)));
        await outside.close();
      } finally {
        await broker[Symbol.asyncDispose]();
      }
    },
  };
}

function sever(proxy: BrokerProxy): void {
  proxy.refuse();
  proxy.cut();
}

const done: Heal = () => Promise.resolve();

/** Refusing sends for a while is none of them: a topic wants no more replicas in sync than it has. */
function faultsOf(
  broker: KafkaBroker,
  pool: ProxyPool,
  outside: KafkaOutside,
  proxies: ReadonlyMap<Adapter, BrokerProxy>,
): Partial<Record<Fault, FaultAction>> {
  const proxiesOf = (adapters: readonly Adapter[]): BrokerProxy[] =>
    adapters.map((one) => {
      const proxy = proxies.get(one);
      if (proxy === undefined) throw new NotAble('this adapter is none of the harness');
      return proxy;
    });
  const during = (adapters: readonly Adapter[], begin: (proxy: BrokerProxy) => void): Heal => {
    const end = pool.during(proxiesOf(adapters), begin);
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
    // Every record that Waybill sends has its id in a header of this name, and nothing else that it asks for does.
    'unknown-outcome': async ({ adapters, count, stored }) => {
      const losing: Losing = { count, what: stored ? 'answer' : 'request', mark: 'waybill-id' };
      const end = pool.lose(proxiesOf(adapters), losing);
      return async () => end();
    },
    'take-over': async ({ topic, group, deliveries }) => {
      const partitions = deliveries.map(({ partition }) => partition);
      const groupId = `${topic}__${group}`;
      const members = partitions.length === 0 ? [] : await outside.membersOf(groupId, partitions);
      if (members.length === 0) throw new NotAble('nothing that this consumer holds can be taken from it');
      for (const member of members) await outside.evict(groupId, member);
      return done;
    },
  };
}
