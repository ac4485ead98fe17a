import { setMaxListeners } from 'node:events';
import type { Clock, Timer } from './clock.ts';
import type { Adapter, Facts, ProvisionSpec } from './contract.ts';
import { ERROR_CODES, WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import { messageOf } from './sanitise.ts';

export interface LinkOptions {
  readonly name: string;
  readonly adapter: Adapter;
  readonly clock: Clock;
  readonly events: Events;
  readonly random: () => number;
  readonly connectTimeout: number;
  readonly reconnect: { readonly min: number; readonly max: number };
}

export type LinkState = 'connecting' | 'ready' | 'reconnecting' | 'closed';

/**
 * The connection to one broker: connects, connects again after a loss (for ever, with growing pauses), and wraps what
 * the adapter throws, once. Publisher and consumers wait for it with `ready`.
 */
export class Link {
  readonly name: string;
  readonly adapter: Adapter;
  readonly clock: Clock;
  readonly random: () => number;
  readonly #events: Events;
  readonly #connectTimeout: number;
  readonly #reconnect: { readonly min: number; readonly max: number };
  readonly #closing = new AbortController();
  readonly #provisioned = new Map<string, Promise<void>>();
  #state: LinkState = 'connecting';
  #facts: Facts = {};
  #waiting: { resolve: () => void; reject: (error: WaybillError) => void }[] = [];
  readonly #onLost = new Set<() => void>();
  #lastError: WaybillError | null = null;

  constructor(options: LinkOptions) {
    this.name = options.name;
    this.adapter = options.adapter;
    this.clock = options.clock;
    this.random = options.random;
    this.#events = options.events;
    this.#connectTimeout = options.connectTimeout;
    this.#reconnect = options.reconnect;
    setMaxListeners(0, this.#closing.signal); // one per publish under way; each removes its own
  }

  get state(): LinkState {
    return this.#state;
  }

  get facts(): Facts {
    return this.#facts;
  }

  get lastError(): WaybillError | null {
    return this.#lastError;
  }

  /** Fires at `close`. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** The first connection: one clear error within the connect timeout (L5). */
  async open(): Promise<void> {
    try {
      this.#facts = await this.#connect();
    } catch (error) {
      this.#state = 'closed';
      await this.adapter.close().catch(() => undefined);
      throw this.wrap(error, `broker '${this.name}'`);
    }
    this.#becomeReady();
  }

  /** At once while the connection stands; else when it does again. Rejects `closed` after close. */
  ready(): Promise<void> | null {
    if (this.#state === 'ready') return null;
    if (this.#state === 'closed') return Promise.reject(this.#closed());
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Gives an adapter's raw error its code; our own errors pass unchanged. */
  wrap(error: unknown, what: string): WaybillError {
    if (WaybillError.is(error)) return error;
    const code = this.adapter.classify(error);
    return new WaybillError(code, `${what}: ${messageOf(error)}`, { cause: error });
  }

  /** Tells the link of an error that some call met; one that means a lost connection starts the reconnecting. */
  noticed(error: WaybillError): void {
    if (!ERROR_CODES[error.code].reconnect || this.#state !== 'ready') return;
    this.#state = 'reconnecting';
    this.#lastError = error;
    this.#provisioned.clear();
    this.#events.emit('disconnected', { broker: this.name, error });
    for (const lost of this.#onLost) lost();
    void this.#connectAgain();
  }

  /** Calls back at each loss of the connection, whoever noticed it; returns how to stop. */
  onLost(callback: () => void): () => void {
    this.#onLost.add(callback);
    return () => void this.#onLost.delete(callback);
  }

  /** Provisions or verifies once per destination and set of groups, until the connection is lost. */
  provision(spec: ProvisionSpec): Promise<void> {
    const key = `${spec.destination.name} ${spec.groups.map((one) => one.group).join(' ')}`;
    let pending = this.#provisioned.get(key);
    if (pending === undefined) {
      pending = this.adapter.provision(spec, this.signal).catch((error: unknown) => {
        this.#provisioned.delete(key);
        throw this.wrap(error, `provision '${spec.destination.name}'`);
      });
      this.#provisioned.set(key, pending);
    }
    return pending;
  }

  /** Something was found missing that had been provisioned: look again at the next use. */
  forgetProvisioned(): void {
    this.#provisioned.clear();
  }

  /** Waits on the link's clock; ends early at close. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer: Timer = this.clock.setTimer(done, ms);
      this.signal.addEventListener('abort', done);
      if (this.signal.aborted) done();
    });
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closing.abort();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#closed());
    try {
      await this.adapter.close();
    } catch (error) {
      this.#events.emit('error', {
        where: `close of broker '${this.name}'`,
        error: this.wrap(error, `broker '${this.name}'`),
      });
    }
  }

  async #connect(): Promise<Facts> {
    const attempt = new AbortController();
    const abort = (): void => attempt.abort();
    this.signal.addEventListener('abort', abort);
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.clock.setTimer(() => {
        reject(
          new WaybillError(
            'timeout',
            `broker '${this.name}' (${this.adapter.name}) did not answer within ${this.#connectTimeout} ms`,
          ),
        );
        attempt.abort();
      }, this.#connectTimeout);
    });
    try {
      return await Promise.race([this.adapter.connect(attempt.signal), late]);
    } finally {
      timer?.cancel();
      this.signal.removeEventListener('abort', abort);
    }
  }

  async #connectAgain(): Promise<void> {
    for (let attempt = 1; !this.signal.aborted; attempt++) {
      const ceiling = Math.min(this.#reconnect.max, this.#reconnect.min * 2 ** (attempt - 1));
      const delay = attempt === 1 ? 0 : ceiling * (0.5 + 0.5 * this.random());
      if (delay > 0) await this.pause(delay);
      if (this.signal.aborted) return;
      try {
        this.#facts = await this.#connect();
      } catch (error) {
        this.#lastError = this.wrap(error, `broker '${this.name}'`);
        this.#events.emit('reconnecting', { broker: this.name, attempt, delay, error: this.#lastError });
        continue;
      }
      if (!this.signal.aborted) this.#becomeReady();
      return;
    }
  }

  #becomeReady(): void {
    this.#state = 'ready';
    this.#lastError = null;
    this.#events.emit('connected', { broker: this.name, facts: this.#facts });
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #closed(): WaybillError {
    return new WaybillError('closed', `broker '${this.name}' is closed`);
  }
}
