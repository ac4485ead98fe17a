import { setTimeout as sleep } from 'node:timers/promises';
import { isPortTaken } from './free-port.ts';
import type { Host } from './host.ts';
import type { Tried, Way } from './not-run.ts';
import { textOf, until } from './readiness.ts';
import type { Contact, Place } from './recipe.ts';
import type { Ability, AbilityName, BrokerProxy, RunningBroker } from './running-broker.ts';
import { TestbedError } from './running-broker.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface HandleOptions {
  readonly name: string;
  readonly how: Way;
  readonly kind: RunningBroker['kind'];
  readonly version: string;
  readonly tried: readonly Tried[];
  readonly place: Place;
  readonly contact: Contact<object>;
  /** Null for a broker at a given address. */
  readonly host: Host | null;
  readonly restore: () => Promise<void>;
  /** Milliseconds until it must answer again. */
  readonly deadline: number;
}

/** How many lines of its log an error shows. */
const shown = 100;
/** Milliseconds for one answer to a probe. */
const probeTimeout = 2_000;
const attempts = 3;

/** A broker that runs, whatever it is and wherever it runs. */
export class Handle implements RunningBroker {
  readonly name: string;
  readonly url: string;
  readonly version: string;
  readonly how: Way;
  readonly kind: RunningBroker['kind'];
  readonly tried: readonly Tried[];
  readonly can: Readonly<Record<AbilityName, Ability>>;
  readonly #options: HandleOptions;
  readonly #proxies = new Set<TcpProxy>();
  #paused = false;
  #closed: Promise<void> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: HandleOptions) {
    const { name, how, kind, version, tried, place, contact, host } = options;
    this.#options = options;
    this.name = name;
    this.url = contact.url(place);
    this.version = version;
    this.how = how;
    this.kind = kind;
    this.tried = tried;
    const ours: Ability = host !== null || `this ${name} is at a given address: nothing is broken or deleted there`;
    const all = { kill: ours, stop: ours, pause: ours, restart: ours, reset: ours, users: ours };
    this.can = Object.freeze({ ...all, proxy: true as const, ...contact.limits });
  }

  get running(): boolean {
    return this.#closed === null && (this.#options.host?.running ?? true);
  }

  stop(): Promise<void> {
    return this.#inTurn('stop', async (host) => {
      await host.stop();
      this.#paused = false;
    });
  }

  kill(): Promise<void> {
    return this.#inTurn('kill', async (host) => {
      await host.kill();
      this.#paused = false;
    });
  }

  pause(): Promise<void> {
    return this.#inTurn('pause', async (host) => {
      if (this.#paused) return;
      await host.pause();
      this.#paused = true;
    });
  }

  unpause(): Promise<void> {
    return this.#inTurn('pause', async (host) => {
      if (!this.#paused) return;
      await host.unpause();
      this.#paused = false;
      await this.#ready(host);
    });
  }

  restart({ how = 'stop' }: { readonly how?: 'stop' | 'kill' } = {}): Promise<void> {
    return this.#inTurn('restart', async (host) => {
      await host[how]();
      this.#paused = false;
      await this.#again(host);
      await this.#options.restore();
    });
  }

  async proxy(): Promise<BrokerProxy> {
    if (this.can.proxy !== true) throw new TestbedError(this.can.proxy);
    if (this.#closed !== null) throw new TestbedError(`this ${this.name} was disposed of`);
    const { contact, place } = this.#options;
    const proxy: TcpProxy = await TcpProxy.start(place, () => contact.translate?.(place, proxy));
    this.#proxies.add(proxy);
    const { host, port } = proxy;
    return Object.assign(proxy, { url: contact.url({ host, port }) });
  }

  reset(): Promise<void> {
    return this.#inTurn('reset', () => this.#options.contact.reset(this.#options.place));
  }

  async log(lines: number = shown): Promise<readonly string[]> {
    return (await this.#options.host?.log(lines)) ?? [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#proxies].map((proxy) => proxy.close()));
    await this.#options.host?.close();
    await this.#last; // a restart under way ends, because nothing starts any more
  }

  #ready(host: Host): Promise<string> {
    const { contact, place, deadline } = this.#options;
    return whenReady(contact, place, host, deadline);
  }

  /** Its port was free for a moment: somebody's connection may have it for another. */
  async #again(host: Host, attempt = 1): Promise<void> {
    await host.start();
    try {
      await this.#ready(host);
    } catch (error) {
      if (attempt === attempts || !isPortTaken((await host.log(5)).join('\n'))) throw error;
      await sleep(200);
      await this.#again(host, attempt + 1);
    }
  }

  #inTurn(what: AbilityName, action: (host: Host) => Promise<void>): Promise<void> {
    const { host } = this.#options;
    const able = this.can[what];
    if (host === null || able !== true) return Promise.reject(new TestbedError(String(able)));
    const turn = this.#last.then(async () => {
      if (this.#closed !== null) throw new TestbedError(`this ${this.name} was disposed of`);
      try {
        await action(host);
      } catch (error) {
        throw await explained(`${this.name} could not ${what}: ${textOf(error)}`, host, error);
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Waits until it answers its own protocol; resolves with its version. */
export function whenReady(
  contact: Contact<object>,
  place: Place,
  host: Host | null,
  deadline: number,
): Promise<string> {
  return until(() => contact.probe(place, Math.min(probeTimeout, deadline)), {
    deadline,
    died: () => host?.ended() ?? null,
    hopeless: (error) => contact.hopeless(error),
  });
}

async function explained(message: string, host: Host, cause: unknown): Promise<TestbedError> {
  const log = await host.log(shown).catch(() => []);
  return new TestbedError(message, log, { cause });
}
