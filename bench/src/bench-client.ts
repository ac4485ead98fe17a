import type { Order } from './payloads.ts';

/** Hands out the next orders to publish, `max` at most; none when there are no more. */
export type Source = (max: number) => Promise<readonly Order[]>;

/**
 * One side of a comparison: Waybill, or the broker's own client doing the same work: an order as JSON with one id
 * header, stored before it counts as published, handled before it is acked.
 */
export interface BenchClient {
  /** A topic, and one group that has seen nothing yet. */
  create(topic: string): Promise<void>;
  /** Publishes until the source is dry; resolves when the broker has confirmed all. */
  publish(topic: string, source: Source): Promise<void>;
  /** Consumes as the group, decoding id and JSON; acks behind the handler. Resolves with how to stop. */
  consume(topic: string, handle: (order: Order) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** A broker to compare on. Adding one is writing one of these, and a line in `brokers/index.ts`. */
export interface BenchBroker {
  /** The adapter's name, as in a configuration. */
  readonly name: string;
  /** What was measured against what: the raw client and its settings, for the report. */
  readonly against: string;
  /** A private broker with the settings that production would have, or why there is none. */
  start(): Promise<RunningBench | { readonly missing: string }>;
}

export interface RunningBench {
  readonly version: string;
  readonly url: string;
  /** How many ordering keys the orders have, where Waybill is to keep their order: that of their version, modulo this. */
  readonly keys?: number;
  /** Options of the adapter, where its defaults are not its best. */
  readonly options?: Readonly<Record<string, unknown>>;
  /**
   * The raw client. `best`: as fast as it goes, with batches and pipelines. `naive`: one message at a time, each
   * publish and each ack awaited, as the first page of the manual has it.
   */
  raw(style: 'best' | 'naive'): Promise<BenchClient>;
  stop(): Promise<void>;
}
