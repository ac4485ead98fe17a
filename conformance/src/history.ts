import type {
  Arrive,
  Deliver,
  EventBase,
  EventBody,
  EventOf,
  HandlerEnd,
  HistoryEvent,
  PublishEnd,
  PublishStart,
} from './event.ts';

/** A publish and what became of it. `open`: its promise was not settled. */
export interface PublishView extends PublishStart, EventBase {
  readonly outcome: 'confirmed' | 'rejected' | 'unknown' | 'dropped' | 'open';
  readonly code: string | null;
  readonly position: Readonly<Record<string, string>> | null;
  /** Wall time of the outcome. */
  readonly endWall: number | null;
}

/** A handler run with one message. */
export interface DeliveryView extends Deliver, EventBase {
  readonly outcome: HandlerEnd['outcome'] | 'open';
  readonly endWall: number | null;
  /** When its signal fired. */
  readonly signalWall: number | null;
  /** When its consumer was killed or closed while it ran: an open run ends here at the latest for other processes. */
  readonly killedWall: number | null;
}

/** One delivery held by core, and how it was settled. */
export interface ArrivalView extends Arrive, EventBase {
  readonly settles: readonly SettleView[];
  /** Wall time of the first `ack` that was `ok`; null when none was. */
  readonly ackedWall: number | null;
  /** When its attachment ended. */
  readonly detachedWall: number | null;
}

interface SettleView {
  readonly kind: 'ack' | 'nack';
  readonly cumulative: boolean;
  readonly startWall: number;
  readonly endWall: number | null;
  readonly result: 'ok' | 'lost' | 'fail' | 'open';
}

interface Views {
  readonly publishes: readonly PublishView[];
  readonly deliveries: readonly DeliveryView[];
  readonly arrivals: readonly ArrivalView[];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type WritableArrival = Omit<Writable<ArrivalView>, 'settles'> & { settles: Writable<SettleView>[] };

/**
 * What happened, from every process, in one order: by wall time, and within a process as written. Append-only; the
 * views are computed when asked for.
 */
export class History {
  readonly #events: HistoryEvent[];
  #sorted = true;
  #views: (Views & { readonly length: number }) | null = null;

  constructor(events: readonly HistoryEvent[] = []) {
    this.#events = [...events];
    this.#sorted = false;
  }

  get length(): number {
    return this.#events.length;
  }

  append(event: HistoryEvent): void {
    const last = this.#events.at(-1);
    if (last !== undefined && last.wall > event.wall) this.#sorted = false;
    this.#events.push(event);
  }

  get events(): readonly HistoryEvent[] {
    if (!this.#sorted) {
      // Stable: what one process wrote in one instant stays in its order.
      this.#events.sort((a, b) => a.wall - b.wall || (a.process === b.process ? a.n - b.n : 0));
      this.#sorted = true;
    }
    return this.#events;
  }

  of<K extends EventBody['type']>(...types: readonly K[]): readonly EventOf<K>[] {
    const wanted = new Set<string>(types);
    return this.events.filter((event): event is EventOf<K> & HistoryEvent => wanted.has(event.type));
  }

  get publishes(): readonly PublishView[] {
    return this.#computed().publishes;
  }

  get deliveries(): readonly DeliveryView[] {
    return this.#computed().deliveries;
  }

  get arrivals(): readonly ArrivalView[] {
    return this.#computed().arrivals;
  }

  #computed(): Views {
    if (this.#views?.length === this.#events.length) return this.#views;
    this.#views = { length: this.#events.length, ...views(this.events) };
    return this.#views;
  }
}

function views(events: readonly HistoryEvent[]): Views {
  const publishes = new Map<string, Writable<PublishView>>();
  const deliveries = new Map<string, Writable<DeliveryView>>();
  const arrivals = new Map<string, WritableArrival>();
  for (const event of events) {
    const of = (n: number | string): string => `${event.process}/${String(n)}`;
    switch (event.type) {
      case 'publish.start':
        publishes.set(of(event.op), { ...event, outcome: 'open', code: null, position: null, endWall: null });
        break;
      case 'publish.confirmed':
      case 'publish.rejected':
      case 'publish.unknown':
      case 'publish.dropped':
        endPublish(publishes.get(of(event.op)), event);
        break;
      case 'deliver':
        deliveries.set(of(event.delivery), {
          ...event,
          outcome: 'open',
          endWall: null,
          signalWall: null,
          killedWall: null,
        });
        break;
      case 'handler.end': {
        const run = deliveries.get(of(event.delivery));
        if (run !== undefined) Object.assign(run, { outcome: event.outcome, endWall: event.wall });
        break;
      }
      case 'signal': {
        const run = deliveries.get(of(event.delivery));
        if (run !== undefined) run.signalWall ??= event.wall;
        break;
      }
      case 'killed':
        for (const run of deliveries.values())
          if (run.consumer === event.consumer && run.outcome === 'open') run.killedWall ??= event.wall;
        break;
      case 'arrive':
        arrivals.set(of(event.arrival), { ...event, settles: [], ackedWall: null, detachedWall: null });
        break;
      case 'detached':
        for (const arrival of arrivals.values())
          if (arrival.attachment === event.attachment && arrival.process === event.process)
            arrival.detachedWall ??= event.wall;
        break;
      case 'settle.start':
        arrivals.get(of(event.arrival))?.settles.push({
          kind: event.kind,
          cumulative: event.cumulative,
          startWall: event.wall,
          endWall: null,
          result: 'open',
        });
        break;
      case 'settle.ok':
      case 'settle.lost':
      case 'settle.fail': {
        const arrival = arrivals.get(of(event.arrival));
        const settle = arrival?.settles.find((one) => one.result === 'open' && one.kind === event.kind);
        if (arrival === undefined || settle === undefined) break;
        settle.result = event.type === 'settle.ok' ? 'ok' : event.type === 'settle.lost' ? 'lost' : 'fail';
        settle.endWall = event.wall;
        if (settle.result === 'ok' && settle.kind === 'ack') arrival.ackedWall ??= event.wall;
        break;
      }
      default:
    }
  }
  return { publishes: [...publishes.values()], deliveries: [...deliveries.values()], arrivals: [...arrivals.values()] };
}

function endPublish(publish: Writable<PublishView> | undefined, event: PublishEnd & EventBase): void {
  if (publish === undefined || publish.outcome !== 'open') return;
  publish.outcome = event.type.slice('publish.'.length) as PublishView['outcome'];
  if (event.id !== '') publish.id = event.id;
  publish.code = event.code;
  publish.position = event.position;
  publish.endWall = event.wall;
}
