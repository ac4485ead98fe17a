import { setMaxListeners } from 'node:events';
import type { BatchContext, BatchHandler, Handler, HandlerContext, Message, Subscription, Topic } from '@waybill/core';
import type { CaseHandler, Consumer, DeliveryInfo } from './case-types.ts';
import type { Connection } from './connection.ts';
import type { HandlerEnd } from './event.ts';
import { hashHeaders, hashPayload, stampOf } from './stamp.ts';

interface Run {
  readonly delivery: number;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
}

/** A subscription whose every handler run is in the history. */
export class RecordedConsumer implements Consumer {
  readonly name: string;
  readonly topic: string;
  readonly group: string;
  readonly deliveries: DeliveryInfo[] = [];
  count = 0;
  running = 0;
  returned = 0;
  threw = 0;
  sentinels = 0;
  peak = 0;
  readonly #connection: Connection;
  readonly #seen: Map<string, number>;
  readonly ids: Set<string> = new Set();
  readonly sentinelSeqs: Set<number> = new Set();
  #subscription: Subscription | null = null;
  #batches = 0;
  closed = false;

  /** @param seen How often each message has come to this group, in the whole case. */
  constructor(name: string, topic: string, group: string, connection: Connection, seen: Map<string, number>) {
    this.name = name;
    this.topic = topic;
    this.group = group;
    this.#connection = connection;
    this.#seen = seen;
  }

  get distinct(): number {
    return this.ids.size;
  }

  get subscription(): Subscription {
    if (this.#subscription === null) throw new Error(`${this.name} has no subscription (yet)`);
    return this.#subscription;
  }

  attach(subscription: Subscription): void {
    this.#subscription = subscription;
  }

  handler<T>(topic: Topic<T>, handler: CaseHandler<T> | undefined): Handler<T> {
    return async (message, context) => {
      const info = this.#info(topic, message, context, context, null);
      const run = this.#start(info, context.signal);
      this.#enter(1);
      let outcome: HandlerEnd['outcome'] = 'returned';
      try {
        return info.sentinel ? undefined : await handler?.(message, context, info);
      } catch (error) {
        outcome = 'threw';
        throw error;
      } finally {
        this.#end(run, outcome);
        this.running -= 1;
      }
    };
  }

  batchHandler<T>(topic: Topic<T>, handler: BatchHandler<T> | undefined): BatchHandler<T> {
    return async (messages, context) => {
      const batch = ++this.#batches;
      setMaxListeners(0, context.signal); // one listener for each message of the batch
      const failed = new Set<Message<unknown>>();
      const recorded: BatchContext = {
        signal: context.signal,
        group: context.group,
        replay: context.replay,
        publish: (...args) => context.publish(...args),
        attemptOf: (message) => context.attemptOf(message),
        fail: (message, error) => {
          failed.add(message);
          context.fail(message, error);
        },
      };
      const runs = messages.map((message) => {
        const of = { attempt: context.attemptOf(message), deliveryCount: null, position: null, fence: null };
        const info = this.#info(topic, message, of, context, batch);
        return [message, this.#start(info, context.signal)] as const;
      });
      this.#enter(1);
      let threw = false;
      try {
        return await handler?.(messages, recorded);
      } catch (error) {
        threw = true;
        throw error;
      } finally {
        for (const [message, run] of runs) this.#end(run, threw || failed.has(message) ? 'threw' : 'returned');
        this.running -= 1;
      }
    };
  }

  pause(): void {
    this.subscription.pause();
    this.#say('paused');
  }

  resume(): void {
    this.#say('resumed');
    this.subscription.resume();
  }

  async drain(): Promise<void> {
    await this.subscription.drain();
    this.#close();
  }

  async close(): Promise<void> {
    await this.#subscription?.close();
    this.#close();
  }

  #close(): void {
    if (!this.closed) this.#say('closed');
    this.closed = true;
  }

  #say(type: 'paused' | 'resumed' | 'closed'): void {
    if (!this.#connection.severed) this.#connection.recorder.record({ type, consumer: this.name });
  }

  #enter(by: number): void {
    this.running += by;
    this.peak = Math.max(this.peak, this.running);
  }

  #info<T>(
    topic: Topic<T>,
    message: Message<T>,
    of: Pick<HandlerContext, 'attempt' | 'deliveryCount' | 'position' | 'fence'>,
    context: Pick<HandlerContext, 'group' | 'replay'>,
    batch: number | null,
  ): Omit<DeliveryInfo, 'n' | 'process' | 'at' | 'wall'> {
    const stamp = stampOf(message.payload);
    const [partition, position] = Object.entries(of.position ?? {})[0] ?? [null, null];
    const { recorder, name: bus } = this.#connection;
    const nth = (this.#seen.get(message.id) ?? 0) + 1;
    this.#seen.set(message.id, nth);
    return {
      type: 'deliver',
      delivery: recorder.nextDelivery(),
      arrival: this.#connection.arrivalOf(topic.name, context.group, message.id, message.raw),
      bus,
      topic: topic.name,
      group: context.group,
      consumer: this.name,
      batch,
      id: message.id,
      key: message.key,
      seq: stamp?.seq ?? null,
      sentinel: stamp?.sentinel === true,
      run: stamp?.run ?? null,
      attempt: of.attempt,
      deliveryCount: of.deliveryCount,
      fence: of.fence,
      partition,
      position,
      body: hashPayload(message.payload),
      headers: hashHeaders(message.headers),
      time: message.time.getTime(),
      replay: context.replay,
      nth,
    };
  }

  #start(info: DeliveryInfo, signal: AbortSignal): Run {
    const { nth: _, ...event } = info;
    const { recorder } = this.#connection;
    if (!this.#connection.severed) recorder.record(event);
    if (info.sentinel) {
      this.sentinels += 1;
      if (info.seq !== null) this.sentinelSeqs.add(info.seq);
    } else {
      this.count += 1;
      this.ids.add(info.id);
      this.deliveries.push(info);
    }
    const onAbort = (): void => {
      if (!this.#connection.severed) recorder.record({ type: 'signal', delivery: info.delivery });
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    return { delivery: info.delivery, signal, onAbort };
  }

  #end(run: Run, outcome: 'returned' | 'threw'): void {
    run.signal.removeEventListener('abort', run.onAbort);
    if (outcome === 'returned') this.returned += 1;
    else this.threw += 1;
    if (this.#connection.severed) return;
    const end = run.signal.aborted ? 'aborted' : outcome;
    this.#connection.recorder.record({ type: 'handler.end', delivery: run.delivery, outcome: end });
  }
}
