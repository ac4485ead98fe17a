import { randomUUID } from 'node:crypto';
import {
  type Bus,
  PublishError,
  type PublishOptions,
  type Published,
  type PublishResult,
  type Topic,
  WaybillError,
} from '@waybill/core';
import { type Adapter, duration, type Position } from '@waybill/core/adapter';
import type { CaseBus } from './case-types.ts';
import type { Connection } from './connection.ts';
import { hashHeaders, hashPayload, sizeOf, stampOf } from './stamp.ts';

type Outcome = 'confirmed' | 'rejected' | 'unknown' | 'dropped';

/** A bus whose publishes are in the history, before and after. All else is passed on. */
export class RecordedBus implements CaseBus {
  readonly name: string;
  readonly bus: Bus;
  readonly adapter: Adapter;
  readonly connection: Connection;

  constructor(bus: Bus, adapter: Adapter, connection: Connection) {
    this.name = connection.name;
    this.bus = bus;
    this.adapter = adapter;
    this.connection = connection;
  }

  async publish<T, I>(topic: Topic<T, I>, payload: I, options: PublishOptions = {}): Promise<Published> {
    // Ours instead of core's, so that the start event of a publish that is never answered names its message.
    const id = options.id ?? randomUUID();
    const op = this.#start(topic, payload, { ...options, id });
    try {
      const published = await this.bus.publish(topic, payload, { ...options, id });
      this.#end(op, 'confirmed', published.id, null, published.position ?? null);
      return published;
    } catch (error) {
      this.#failed(op, id, error);
      throw error;
    }
  }

  async publishMany<T, I>(
    topic: Topic<T, I>,
    payloads: readonly I[],
    options: Omit<PublishOptions, 'id' | 'key'> = {},
  ): Promise<PublishResult[]> {
    const ops = payloads.map((payload) => this.#start(topic, payload, options));
    try {
      const results = await this.bus.publishMany(topic, payloads, options);
      for (const [index, result] of results.entries()) {
        const op = ops[index] ?? '';
        if (result.status === 'confirmed') this.#end(op, 'confirmed', result.id, null, result.position ?? null);
        else this.#end(op, result.status, result.id, result.error.code, null);
      }
      return results;
    } catch (error) {
      for (const op of ops) this.#failed(op, '', error);
      throw error;
    }
  }

  offer<T, I>(topic: Topic<T, I>, payload: I, options?: Omit<PublishOptions, 'signal'>): boolean {
    const op = this.#start(topic, payload, options ?? {});
    const taken = this.bus.offer(topic, payload, options);
    // Nobody learns what becomes of an offer that was taken.
    this.#end(op, taken ? 'unknown' : 'dropped', options?.id ?? '', taken ? 'offered' : null, null);
    return taken;
  }

  readonly replay: CaseBus['replay'] = (topic, options, handler) => this.bus.replay(topic, options, handler);
  readonly lag: CaseBus['lag'] = (...args) => this.bus.lag(...args);
  readonly reset: CaseBus['reset'] = (...args) => this.bus.reset(...args);
  readonly dlq: CaseBus['dlq'] = (topic, group) => this.bus.dlq(topic, group);
  readonly use: CaseBus['use'] = (...args) => this.bus.use(...args);
  readonly on: CaseBus['on'] = (event, listener) => this.bus.on(event, listener);
  readonly health: CaseBus['health'] = () => this.bus.health();
  readonly describe: CaseBus['describe'] = () => this.bus.describe();

  async drain(): Promise<void> {
    await this.bus.drain();
  }

  async close(): Promise<void> {
    await this.bus.close();
  }

  #start<T, I>(topic: Topic<T, I>, payload: I, options: PublishOptions): string {
    const { recorder, severed } = this.connection;
    const op = recorder.nextOp();
    if (severed) return op;
    const stamp = stampOf(payload);
    recorder.record({
      type: 'publish.start',
      op,
      bus: this.name,
      topic: topic.name,
      id: options.id ?? '',
      key: options.key ?? keyOf(topic, payload),
      seq: stamp?.seq ?? null,
      sentinel: stamp?.sentinel === true,
      bytes: sizeOf(payload),
      body: hashPayload(payload),
      headers: hashHeaders(options.headers),
      time: options.time?.getTime() ?? null,
      delay: options.delay === undefined ? null : milliseconds(options.delay),
      expires: options.expires === undefined ? null : expiry(options.expires),
    });
    return op;
  }

  #end(op: string, outcome: Outcome, id: string, code: string | null, position: Position | null): void {
    const { recorder, severed } = this.connection;
    if (!severed) recorder.record({ type: `publish.${outcome}`, op, id, code, position });
  }

  #failed(op: string, id: string, error: unknown): void {
    const outcome = error instanceof PublishError ? error.outcome : 'rejected';
    this.#end(
      op,
      outcome,
      error instanceof PublishError ? error.id : id,
      error instanceof WaybillError ? error.code : null,
      null,
    );
  }
}

function keyOf<T, I>(topic: Topic<T, I>, payload: I): string | null {
  try {
    return topic.key?.(payload) ?? null;
  } catch {
    return null; // core will say so
  }
}

function milliseconds(value: NonNullable<PublishOptions['delay']>): number | null {
  try {
    return duration(value);
  } catch {
    return null; // core will say so
  }
}

function expiry(value: NonNullable<PublishOptions['expires']>): number | null {
  if (value instanceof Date) return value.getTime();
  const ms = milliseconds(value);
  return ms === null ? null : Date.now() + ms;
}
