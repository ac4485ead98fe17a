import { loadAdapterPackage } from '@waybill/core';
import type { Adapter, AdapterModule } from '@waybill/core/adapter';
import {
  type BrokerName,
  type BrokerProxy,
  type Brokers,
  describeNotRun,
  isNotRun,
  isRequired,
  ProxyPool,
  type RunningBroker,
  startBroker,
} from '@waybill/testbed';
import type { Fault } from '../case.ts';
import { type FaultAction, type Harness, type Heal, type MissingTarget, NotAble } from '../target.ts';

type Faults = Partial<Record<Fault, FaultAction>>;

/** The broker's processes take the machine's time from the suite's, and the other way round. */
const PACE = 2;

export const done: Heal = () => Promise.resolve();

/**
 * A harness on a broker that the testbed starts: private, with faults, or at its address, with none.
 *
 * @throws TestbedError when there is an address and nothing usable behind it
 */
export async function startHarness<N extends BrokerName>(
  name: N,
  start: Brokers[N]['options'] | undefined,
  module: string,
  make: (broker: Brokers[N]['broker'], adapters: AdapterModule) => Promise<Harness>,
): Promise<Harness | MissingTarget> {
  const adapters = await loadAdapterPackage(module, `the suite on ${name}`);
  const answer = await startBroker(name, start);
  if (isNotRun(answer))
    return { name, missing: describeNotRun(answer), required: isRequired(name, start?.env ?? process.env) };
  try {
    return { pace: PACE, ...(await make(answer, adapters)) };
  } catch (error) {
    await answer[Symbol.asyncDispose]();
    throw error;
  }
}

/** Connections to one broker; to one of our own each through a proxy, where faults can strike it alone, or all. */
export class Connections {
  /** Whether the broker is ours to break. */
  readonly ours: boolean;
  readonly #broker: RunningBroker;
  readonly #make: (url: string) => Adapter;
  readonly #pool: ProxyPool | null;
  readonly #proxies = new Map<Adapter, BrokerProxy>();

  private constructor(broker: RunningBroker, make: (url: string) => Adapter, pool: ProxyPool | null) {
    this.ours = pool !== null;
    this.#broker = broker;
    this.#make = make;
    this.#pool = pool;
  }

  /** @param make An adapter on a URL. */
  static async open(broker: RunningBroker, make: (url: string) => Adapter): Promise<Connections> {
    return new Connections(broker, make, broker.can.kill === true ? await ProxyPool.open(broker) : null);
  }

  /** A new connection. Its proxy ends with it. */
  adapter(): Adapter {
    const pool = this.#pool;
    if (pool === null) return this.#make(this.#broker.url);
    const proxy = pool.take();
    const made = this.#make(proxy.url);
    const close = made.close.bind(made);
    this.#proxies.set(made, proxy);
    return Object.assign(made, {
      close: async () => {
        try {
          await close();
        } finally {
          this.#proxies.delete(made);
          await pool.release(proxy);
        }
      },
    });
  }

  /** Those of others to the same broker stay. */
  async close(): Promise<void> {
    await this.#pool?.close();
  }

  /** For processes of their own: what strikes all strikes them. */
  childUrl(): string {
    return this.#pool?.take().url ?? this.#broker.url;
  }

  /**
   * What the network can do to them; nothing where the broker is not ours.
   *
   * @param mark Bytes that every message which Waybill sends contains, and no other request.
   */
  faults(mark: string): Faults {
    const pool = this.#pool;
    if (pool === null) return {};
    const during = (adapters: readonly Adapter[], begin: (proxy: BrokerProxy) => void): Heal => {
      const end = pool.during(this.#proxiesOf(adapters), begin);
      return async () => end();
    };
    return {
      cut: async ({ adapters }) => during(adapters, sever),
      stall: async ({ adapters }) => during(adapters, (proxy) => proxy.stall()),
      'drop-responses': async ({ adapters }) => during(adapters, (proxy) => proxy.dropResponses()),
      slow: async ({ ms }) => during([], (proxy) => proxy.delay(ms / 2)), // there and back
      pause: async () => {
        await this.#broker.pause();
        return () => this.#broker.unpause();
      },
      'crash-connection': async ({ adapters }) => {
        during(adapters, sever);
        return done; // it is dead: nobody heals it
      },
      'unknown-outcome': async ({ adapters, count, stored }) => {
        const end = pool.lose(this.#proxiesOf(adapters), { count, what: stored ? 'answer' : 'request', mark });
        return async () => end();
      },
    };
  }

  #proxiesOf(adapters: readonly Adapter[]): BrokerProxy[] {
    return adapters.map((made) => {
      const proxy = this.#proxies.get(made);
      if (proxy === undefined) throw new NotAble('this adapter is none of the harness');
      return proxy;
    });
  }
}

/** Faults of a broker that can die and comes back with its data. */
export function deaths(broker: RunningBroker): Faults {
  return {
    'kill-broker': async () => {
      await broker.kill();
      return () => broker.restart();
    },
    restart: async () => {
      await broker.restart({ how: 'kill' });
      return done;
    },
  };
}

function sever(proxy: BrokerProxy): void {
  proxy.refuse();
  proxy.cut();
}
