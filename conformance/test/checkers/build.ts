import type { EventBody, HistoryEvent } from '../../src/event.ts';
import { History } from '../../src/history.ts';

interface Run {
  id: string;
  key?: string | null;
  group?: string;
  topic?: string;
  consumer?: string;
  process?: string;
  attempt?: number;
  batch?: number | null;
  body?: string;
  time?: number;
  run?: string | null;
  sentinel?: boolean;
  partition?: string;
  position?: string;
}

/** Writes small synthetic histories. Each step is 10 ms later, unless `at` moves the clock. */
export class Script {
  readonly events: HistoryEvent[] = [];
  #clock = 1_000;
  #n = 0;
  #ops = 0;
  #deliveries = 0;
  #arrivals = 0;
  readonly #seqs = new Map<string, number>();

  at(ms: number): this {
    this.#clock = 1_000 + ms;
    return this;
  }

  add(body: EventBody, process = 'suite'): this {
    this.#clock += 10;
    this.events.push({ n: ++this.#n, process, at: this.#clock, wall: this.#clock, ...body });
    return this;
  }

  ready(group = 'g', topic = 'orders'): this {
    return this.add({ type: 'group.ready', topic, group });
  }

  drained(group = 'g', complete = true): this {
    return this.add({ type: 'drained', topic: 'orders', group, complete, reason: complete ? '' : 'it crashed' });
  }

  publish(
    id: string,
    options: {
      key?: string | null;
      outcome?: 'confirmed' | 'rejected' | 'unknown' | 'dropped' | 'open';
      topic?: string;
      bus?: string;
      delay?: number;
      expires?: number;
      body?: string;
      sentinel?: boolean;
      position?: Record<string, string>;
    } = {},
  ): this {
    const { key = null, outcome = 'confirmed', topic = 'orders', bus = 'b1', position = null } = options;
    const op = String(++this.#ops);
    const seq = (this.#seqs.get(`${topic}/${key}`) ?? 0) + 1;
    this.#seqs.set(`${topic}/${key}`, seq);
    this.add({
      type: 'publish.start',
      op,
      bus,
      topic,
      id,
      key,
      seq,
      sentinel: options.sentinel ?? false,
      bytes: 2,
      body: options.body ?? `body of ${id}`,
      headers: '',
      time: null,
      delay: options.delay ?? null,
      expires: options.expires ?? null,
    });
    if (outcome === 'open') return this;
    return this.add({ type: `publish.${outcome}`, op, id, code: outcome === 'rejected' ? 'denied' : null, position });
  }

  send(
    id: string,
    kind: 'topic' | 'inbox' | 'dead-letter' = 'topic',
    group: string | null = kind === 'topic' ? null : 'g',
  ): this {
    return this.add({
      type: 'send',
      bus: 'b1',
      kind,
      topic: 'orders',
      group,
      ids: [id],
      sendIds: [id],
      outcomes: ['confirmed'],
      began: 0,
    });
  }

  /** A handler run begins; returns its number, for `end`. */
  start(run: Run): number {
    const delivery = ++this.#deliveries;
    this.add(
      {
        type: 'deliver',
        delivery,
        arrival: this.#arrivals === 0 ? null : this.#arrivals,
        bus: 'b1',
        topic: run.topic ?? 'orders',
        group: run.group ?? 'g',
        consumer: run.consumer ?? 'c1',
        batch: run.batch ?? null,
        id: run.id,
        key: run.key ?? null,
        seq: null,
        sentinel: run.sentinel ?? false,
        run: run.run ?? null,
        attempt: run.attempt ?? 1,
        deliveryCount: null,
        fence: null,
        partition: run.partition ?? null,
        position: run.position ?? null,
        body: run.body ?? `body of ${run.id}`,
        headers: '',
        time: run.time ?? 0,
        replay: false,
      },
      run.process,
    );
    return delivery;
  }

  end(delivery: number, outcome: 'returned' | 'threw' | 'aborted' = 'returned', process = 'suite'): this {
    return this.add({ type: 'handler.end', delivery, outcome }, process);
  }

  /** A whole run. */
  deliver(run: Run & { outcome?: 'returned' | 'threw' | 'aborted' }): this {
    return this.end(this.start(run), run.outcome, run.process);
  }

  /** An arrival at core; returns its number, for `settle`. */
  arrive(
    id: string,
    options: {
      consumer?: string;
      partition?: number;
      position?: string;
      origin?: 'topic' | 'inbox' | 'dead-letter';
      attachment?: number;
      bytes?: number;
    } = {},
  ): number {
    const arrival = ++this.#arrivals;
    const { partition = 0 } = options;
    this.add({
      type: 'arrive',
      arrival,
      attachment: options.attachment ?? 1,
      bus: 'b1',
      topic: 'orders',
      group: 'g',
      consumer: options.consumer ?? 'c1',
      origin: options.origin ?? 'topic',
      id,
      key: null,
      partition,
      position: options.position === undefined ? null : { [String(partition)]: options.position },
      deliveryCount: null,
      fence: null,
      bytes: options.bytes ?? 100,
    });
    return arrival;
  }

  settle(arrival: number, result: 'ok' | 'lost' | 'fail' = 'ok', cumulative = false): this {
    this.add({ type: 'settle.start', arrival, kind: 'ack', cumulative });
    return this.add({ type: `settle.${result}`, arrival, kind: 'ack', cumulative });
  }

  killed(consumer = 'c1'): this {
    return this.add({ type: 'killed', consumer });
  }

  fault(type: 'fault.start' | 'fault.end' = 'fault.start'): this {
    return this.add({ type, fault: 'cut', detail: '' });
  }

  get history(): History {
    return new History(this.events);
  }
}

export const script = (): Script => new Script();
