import type { ErrorCode, WaybillError } from './errors.ts';

/** Every event of a bus, with what it carries. Names are stable. */
export interface BusEvents {
  /** The connection to a broker stands (again). */
  connected: { broker: string; facts: Readonly<Record<string, string | number | boolean | null>> };
  /** It was lost; core connects again, for ever, with growing pauses. */
  disconnected: { broker: string; error: WaybillError };
  /** One attempt to connect again failed. */
  reconnecting: { broker: string; attempt: number; delay: number; error: WaybillError };
  /** A subscription stands: what is published from now on reaches it. */
  subscribed: { topic: string; group: string };
  /** A subscription ended by itself and is being opened again. */
  resubscribing: { topic: string; group: string; error: WaybillError; delay: number };
  assigned: { topic: string; group: string; partitions: readonly number[] };
  revoked: { topic: string; group: string; partitions: readonly number[]; forced: boolean };
  /** This delivery was taken from us while we held it; it will come again. */
  'lease-lost': { topic: string; group: string; id: string; key: string | null };
  /** A handler run failed and another will follow. */
  retry: {
    topic: string;
    group: string;
    id: string;
    key: string | null;
    attempt: number;
    delay: number;
    error: WaybillError;
  };
  'dead-lettered': {
    topic: string;
    group: string;
    id: string;
    key: string | null;
    attempts: number;
    code: string;
    error: WaybillError;
  };
  /** A dead-letter or requeue copy could not be published; the original stays unsettled and it is tried again. */
  'copy-failed': { topic: string; group: string; id: string; error: WaybillError };
  /** Given up without a dead letter, as the subscription or topic asked: counted per reason. */
  dropped: {
    topic: string;
    group: string | null;
    reason: 'exhausted' | 'expired' | 'drop-oldest' | 'drop-newest' | 'sample' | 'closed' | 'failed';
    count: number;
  };
  expired: { topic: string; group: string; id: string };
  /** Control headers from a stranger were left out. */
  'forged-headers': { topic: string; group: string; id: string };
  /** Deliveries behind held keys fill half the prefetch: only this partition waits (O4). */
  'held-back': { topic: string; group: string; partition: number; waiting: number };
  /** A subscription with `onExhausted: 'stop'` has stopped, its message unsettled. */
  stopped: { topic: string; group: string; id: string; error: WaybillError };
  /** The buffer of publishes is full (P6), and has room again. */
  'publish-blocked': { broker: string; waiting: number };
  'publish-resumed': { broker: string };
  'publish-failed': {
    topic: string;
    id: string;
    outcome: 'rejected' | 'unknown';
    code: ErrorCode;
    error: WaybillError;
  };
  drained: { unsettled: number };
  closed: Record<string, never>;
  /** What fits nowhere else: a listener that threw, an ack that failed. */
  error: { where: string; error: WaybillError };
}

export type BusEventName = keyof BusEvents;
type Listener<K extends BusEventName> = (event: BusEvents[K]) => void;

/** A typed emitter. A listener that throws is reported as an `error` event; it never changes what core does. */
export class Events {
  readonly #listeners = new Map<BusEventName, Set<Listener<never>>>();
  readonly #onListenerError: (where: string, error: unknown) => void;

  constructor(onListenerError: (where: string, error: unknown) => void) {
    this.#onListenerError = onListenerError;
  }

  /** Ask before building an argument: nobody listens, mostly. */
  has(name: BusEventName): boolean {
    return this.#listeners.has(name);
  }

  on<K extends BusEventName>(name: K, listener: Listener<K>): () => void {
    let set = this.#listeners.get(name);
    if (set === undefined) this.#listeners.set(name, (set = new Set()));
    set.add(listener);
    return () => {
      set.delete(listener);
      if (set.size === 0 && this.#listeners.get(name) === set) this.#listeners.delete(name);
    };
  }

  emit<K extends BusEventName>(name: K, event: BusEvents[K]): void {
    const set = this.#listeners.get(name);
    if (set === undefined) return;
    for (const listener of set) {
      try {
        const result: unknown = (listener as Listener<K>)(event);
        if (result instanceof Promise) result.catch((error: unknown) => this.#failed(name, error));
      } catch (error) {
        this.#failed(name, error);
      }
    }
  }

  #failed(name: BusEventName, error: unknown): void {
    if (name !== 'error') this.#onListenerError(`listener of '${name}'`, error);
  }
}
