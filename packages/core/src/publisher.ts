import { Callers } from './callers.ts';
import type { Timer } from './clock.ts';
import type { Destination, ProvisionSpec, SendOutcome } from './contract.ts';
import { PublishError, WaybillError } from './errors.ts';
import type { Events } from './events.ts';
import type { Link } from './link.ts';
import { Outgoing, refusal } from './outgoing.ts';
import { Ring } from './ring.ts';
import { Route, type RouteOwner } from './route.ts';
import type { DropPolicy } from './topic.ts';
import type { Published } from './message.ts';
import type { OutgoingMessage } from './contract.ts';

export interface PublisherOptions {
  readonly link: Link;
  readonly events: Events;
  readonly bufferMessages: number;
  readonly bufferBytes: number;
  readonly overflow: 'block' | 'reject';
  /** Milliseconds from acceptance to an outcome. */
  readonly timeout: number;
}

interface Accepted {
  readonly outgoing: Outgoing;
  readonly route: Route;
}

/** Deadlines are counted in ticks of a sixteenth of the publish timeout, so that no message reads a clock or sets a timer. */
const TICKS = 16;
/** `sample`: above half of its buffer a best-effort topic keeps one message in this many. */
const SAMPLE = 10;

/** Everything that one bus publishes to one broker: a bounded buffer (P6), then a route per destination. */
export class Publisher implements RouteOwner {
  readonly #link: Link;
  readonly #events: Events;
  readonly #options: PublisherOptions;
  readonly #routes = new Map<string, Route>();
  /** What came while the buffer was full, in order. */
  readonly #blocked = new Ring<Accepted>();
  readonly #callers = new Callers<Accepted>((call) => this.#giveUp(call));
  readonly #dropped = new Map<string, number>();
  #messages = 0;
  #bytes = 0;
  #tick = 0;
  #timer: Timer | null = null;
  #closed = false;
  #idle: (() => void)[] = [];
  #sampled = 0;

  constructor(options: PublisherOptions) {
    this.#link = options.link;
    this.#events = options.events;
    this.#options = options;
  }

  /** Messages accepted and without an outcome. */
  get pending(): number {
    return this.#messages + this.#blocked.size;
  }

  /** Drops per reason since the start. */
  get dropped(): ReadonlyMap<string, number> {
    return this.#dropped;
  }

  /** The way to a destination; `spec` is what must stand before anything is sent there. */
  route(destination: Destination, spec: ProvisionSpec): Route {
    let route = this.#routes.get(destination.name);
    if (route === undefined)
      this.#routes.set(destination.name, (route = new Route(this.#link, this, destination, spec)));
    return route;
  }

  /** One message to one destination; rejects with PublishError. Not async, so that it costs one promise. */
  publish(route: Route, message: OutgoingMessage, guardsKey: boolean, signal?: AbortSignal): Promise<Published> {
    return new Promise((resolve, reject) => {
      this.#accept(new Outgoing(message, route.destination, guardsKey, { resolve, reject }), route, signal);
    });
  }

  /** Synchronous, never throws: false when it was dropped at once. */
  offer(route: Route, message: OutgoingMessage, topic: string, limit: number, policy: DropPolicy): boolean {
    if (this.#closed) return this.drop(topic, 'closed');
    if (refusal(message, route.destination, this.#link.adapter.supports) !== null) return this.drop(topic, 'failed');
    if (policy === 'sample' && route.offered >= limit / 2 && this.#sampled++ % SAMPLE !== 0)
      return this.drop(topic, 'sample');
    if (route.offered >= limit) {
      if (policy !== 'drop-oldest') return this.drop(topic, 'drop-newest');
      const oldest = route.dropOldest();
      if (oldest !== undefined) {
        oldest.ended = true;
        this.#release(oldest);
        this.drop(topic, 'drop-oldest');
      }
    }
    const outgoing = new Outgoing(message, route.destination, false, null);
    this.#count(outgoing);
    route.offer(outgoing);
    return true;
  }

  /** Counts a drop per reason; returns false, which is what an `offer` says of it. */
  drop(topic: string, reason: 'drop-oldest' | 'drop-newest' | 'sample' | 'closed' | 'failed'): false {
    const count = (this.#dropped.get(`${topic} ${reason}`) ?? 0) + 1;
    this.#dropped.set(`${topic} ${reason}`, count);
    if (this.#events.has('dropped')) this.#events.emit('dropped', { topic, group: null, reason, count });
    return false;
  }

  /** Waits until everything accepted has an outcome; each has one within the publish timeout. */
  flush(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Refuses what comes after, then flushes. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    this.#timer?.cancel();
    this.#timer = null;
  }

  confirmed(outgoing: Outgoing, outcome: Extract<SendOutcome, { status: 'confirmed' }>): void {
    this.#release(outgoing);
    if (outgoing.waiter === null) return;
    outgoing.unwatch?.();
    const { id } = outgoing.message;
    outgoing.waiter.resolve(outcome.position === null ? { id } : { id, position: outcome.position });
  }

  failed(outgoing: Outgoing, outcome: 'rejected' | 'unknown', error: WaybillError): void {
    this.#release(outgoing);
    if (this.#events.has('publish-failed'))
      this.#events.emit('publish-failed', {
        topic: outgoing.destination.name,
        id: outgoing.message.id,
        outcome,
        code: error.code,
        error,
      });
    this.#fail(outgoing, outcome, error);
  }

  keyFailed(failed: Outgoing, error: WaybillError): void {
    this.#blocked.filter(({ outgoing }) => {
      if (outgoing.message.key !== failed.message.key || outgoing.destination.name !== failed.destination.name)
        return true;
      this.#endBlocked(outgoing, error);
      return false;
    });
  }

  expired(outgoing: Outgoing): boolean {
    return this.#tick - outgoing.tick > TICKS;
  }

  #accept(outgoing: Outgoing, route: Route, signal: AbortSignal | undefined): void {
    const refused = this.#closed
      ? new WaybillError('closed', `publish to '${outgoing.destination.name}' after close`)
      : signal?.aborted === true
        ? aborted(outgoing.destination)
        : refusal(outgoing.message, outgoing.destination, this.#link.adapter.supports);
    if (refused !== null) {
      outgoing.ended = true;
      this.#fail(outgoing, 'rejected', refused);
      return;
    }
    if (signal !== undefined) outgoing.unwatch = this.#callers.watch(signal, { outgoing, route });
    if (this.#blocked.size === 0 && this.#hasRoom(outgoing)) {
      this.#count(outgoing);
      route.push(outgoing);
      return;
    }
    if (this.#options.overflow === 'reject') {
      outgoing.ended = true;
      const { bufferMessages, bufferBytes } = this.#options;
      const full = `the publish buffer is full (${this.#messages} of ${bufferMessages} messages, ${this.#bytes} of ${bufferBytes} bytes)`;
      this.#fail(
        outgoing,
        'rejected',
        new WaybillError('throttled', `publish to '${outgoing.destination.name}': ${full}`),
      );
      return;
    }
    outgoing.tick = this.#tick;
    this.#blocked.push({ outgoing, route });
    this.#arm();
    if (this.#blocked.size === 1)
      this.#events.emit('publish-blocked', { broker: this.#link.name, waiting: this.pending });
  }

  /** A caller that gives up: what waits for room or its turn was not sent; what is on its way may be stored. */
  #giveUp({ outgoing, route }: Accepted): void {
    if (outgoing.ended) return;
    const error = aborted(outgoing.destination);
    if (!this.#isBlocked(outgoing)) route.abandon(outgoing, error);
    else {
      this.#blocked.filter((one) => one.outgoing !== outgoing);
      this.#endBlocked(outgoing, error);
    }
  }

  #fail(outgoing: Outgoing, outcome: 'rejected' | 'unknown', error: WaybillError): void {
    outgoing.unwatch?.();
    if (outgoing.waiter === null) this.drop(outgoing.destination.name, 'failed');
    else outgoing.waiter.reject(publishError(outgoing.message.id, outcome, error));
  }

  #isBlocked(outgoing: Outgoing): boolean {
    let found = false;
    this.#blocked.filter((one) => ((found ||= one.outgoing === outgoing), true));
    return found;
  }

  #hasRoom(outgoing: Outgoing): boolean {
    const { bufferMessages, bufferBytes } = this.#options;
    // One message larger than the whole buffer still goes, alone.
    return this.#messages === 0 || (this.#messages < bufferMessages && this.#bytes + outgoing.bytes <= bufferBytes);
  }

  #count(outgoing: Outgoing): void {
    outgoing.tick = this.#tick;
    this.#messages++;
    this.#bytes += outgoing.bytes;
    if (this.#timer === null) this.#arm();
  }

  #release(outgoing: Outgoing): void {
    this.#messages--;
    this.#bytes -= outgoing.bytes;
    if (this.#blocked.size > 0) this.#admitBlocked();
    if (this.#messages === 0 && this.#blocked.size === 0) {
      this.#timer?.cancel();
      this.#timer = null;
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  #admitBlocked(): void {
    for (
      let next = this.#blocked.peek();
      next !== undefined && this.#hasRoom(next.outgoing);
      next = this.#blocked.peek()
    ) {
      this.#blocked.shift();
      if (next.outgoing.ended) continue;
      const { tick } = next.outgoing;
      this.#count(next.outgoing);
      next.outgoing.tick = tick; // the publish timeout counts from the call
      next.route.push(next.outgoing);
    }
    if (this.#blocked.size === 0) this.#events.emit('publish-resumed', { broker: this.#link.name });
  }

  #endBlocked(outgoing: Outgoing, error: WaybillError): void {
    if (outgoing.ended) return;
    outgoing.ended = true;
    this.#fail(outgoing, 'rejected', error);
  }

  #arm(): void {
    if (this.#timer !== null) return;
    this.#timer = this.#link.clock.setTimer(() => {
      this.#timer = null;
      this.#tick++;
      this.#blocked.filter(({ outgoing }) => {
        if (outgoing.ended) return false;
        if (!this.expired(outgoing)) return true;
        this.#endBlocked(
          outgoing,
          new WaybillError(
            'throttled',
            `publish to '${outgoing.destination.name}': no room in the publish buffer within the publish timeout`,
          ),
        );
        return false;
      });
      // Last, since each end here makes room, and only those in time may have it.
      for (const route of this.#routes.values()) route.sweep();
      if (this.pending > 0) this.#arm();
      else for (const resolve of this.#idle.splice(0)) resolve();
    }, this.#options.timeout / TICKS);
  }
}

function publishError(id: string, outcome: 'rejected' | 'unknown', error: WaybillError): PublishError {
  return new PublishError(error.code, error.message, { outcome, id, cause: error.raw ?? error });
}

function aborted(destination: Destination): WaybillError {
  return new WaybillError('timeout', `publish to '${destination.name}' was given up by the caller's signal`);
}
