import { Buffer } from 'node:buffer';
import { type BrokerProxy, type RunningBroker, TestbedError } from './running-broker.ts';

export interface Losing {
  readonly what: 'request' | 'answer';
  /** What requests to be lost contain. */
  readonly mark: string;
  /** How many marks are lost at least. A request is lost whole, so it may be more. */
  readonly count: number;
}

type Begin = (proxy: BrokerProxy) => void;

/**
 * A proxy for each client, so that faults can strike one of them, or all. Some are kept ready, because clients are made
 * without waiting.
 */
export class ProxyPool {
  readonly #broker: Pick<RunningBroker, 'proxy'>;
  readonly #all = new Set<BrokerProxy>();
  readonly #ready: BrokerProxy[] = [];
  /** Faults in force for all, those who come later too. */
  readonly #faults = new Set<Begin>();
  #closed = false;

  private constructor(broker: Pick<RunningBroker, 'proxy'>) {
    this.#broker = broker;
  }

  /** @param ready How many may be taken at once. */
  static async open(broker: Pick<RunningBroker, 'proxy'>, ready = 64): Promise<ProxyPool> {
    const pool = new ProxyPool(broker);
    await Promise.all(Array.from({ length: ready }, () => pool.#add()));
    return pool;
  }

  /** A proxy that nobody else uses. @throws TestbedError when too many are taken at once */
  take(): BrokerProxy {
    const proxy = this.#ready.shift();
    if (proxy === undefined) throw new TestbedError('more proxies are taken at once than are ready');
    void this.#add().catch(() => undefined); // the broker is being disposed of
    return proxy;
  }

  async release(proxy: BrokerProxy): Promise<void> {
    this.#all.delete(proxy);
    await proxy.close();
  }

  /**
   * Lets a fault begin at these proxies, or at all. Returns what ends it.
   *
   * @param only Empty: all, those who come later too.
   */
  during(only: readonly BrokerProxy[], begin: Begin): () => void {
    if (only.length === 0) this.#faults.add(begin);
    for (const proxy of only.length === 0 ? this.#all : only) begin(proxy);
    return () => {
      this.#faults.delete(begin);
      for (const proxy of only.length === 0 ? this.#all : only) {
        proxy.heal();
        for (const other of this.#faults) other(proxy); // it had ended with this one
      }
    };
  }

  /** Loses the next requests that have a mark, or the answers to them; see `TcpProxy.lose`. Returns what ends it. */
  lose(only: readonly BrokerProxy[], { what, mark, count }: Losing): () => void {
    let left = count;
    const match = (bytes: Buffer): boolean => {
      const marks = left <= 0 ? 0 : occurrences(bytes, mark);
      left -= marks;
      return marks > 0;
    };
    const arm = (proxy: BrokerProxy): void => {
      if (left > 0) void proxy.lose(what, match).then(() => arm(proxy));
    };
    const end = this.during(only, arm);
    return () => {
      left = 0;
      end();
    };
  }

  /** Closes every proxy, taken or not. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#all].map((proxy) => this.release(proxy)));
  }

  async #add(): Promise<void> {
    const proxy = await this.#broker.proxy();
    if (this.#closed) return proxy.close();
    this.#all.add(proxy);
    this.#ready.push(proxy);
    for (const begin of this.#faults) begin(proxy);
  }
}

function occurrences(bytes: Buffer, mark: string): number {
  let count = 0;
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + mark.length)) count += 1;
  return count;
}
