import type { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Direction, Weather } from './proxy-flow.ts';
import { type Match, type ProxyConnection, ProxyPair, type Translate } from './proxy-pair.ts';

const calm: Weather = { stalled: new Set(), dropped: new Set(), delay: 0, rate: null };

/**
 * A TCP proxy whose network can be made bad. It knows no protocol, so that it serves every broker: what must be known of
 * one is in `translate`. It holds no process open.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #translate: () => Translate | undefined;
  readonly #pairs = new Set<ProxyPair>();
  #port = 0;
  #weather: Weather = calm;
  #refusing = false;
  #accepted = 0;
  #loss: Loss | null = null;

  private constructor(
    target: { readonly host: string; readonly port: number },
    translate: () => Translate | undefined,
  ) {
    this.#target = target;
    this.#translate = translate;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    this.#server.unref();
  }

  /** Listens on a free port of 127.0.0.1. @param translate Called for each connection; default: bytes pass as they are. */
  static async start(
    target: { readonly host: string; readonly port: number },
    translate: () => Translate | undefined = () => undefined,
  ): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, translate);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    proxy.#port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  get host(): string {
    return '127.0.0.1';
  }

  get port(): number {
    return this.#port;
  }

  /** Those that are open now. */
  get connections(): readonly ProxyConnection[] {
    return [...this.#pairs];
  }

  /** How many there have been. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Resets (RST) the connections that are open now, or those that `which` wants. New ones are welcome. */
  cut(which: (connection: ProxyConnection) => boolean = () => true): void {
    for (const pair of this.#pairs) if (which(pair)) pair.cut();
  }

  /** Resets new connections, too. */
  refuse(on = true): void {
    this.#refusing = on;
  }

  /** Connections stay open and nothing passes. What was sent meanwhile passes after `resume` or `heal`. */
  stall(...directions: readonly Direction[]): void {
    this.#change({ stalled: new Set(directions.length === 0 ? ['up', 'down'] : directions) });
  }

  resume(): void {
    this.#change({ stalled: new Set() });
  }

  /**
   * Requests reach the broker and its answers vanish. The answers are torn from then on, so `heal` resets the
   * connections that were open.
   */
  dropResponses(): void {
    this.drop('down');
  }

  /** What comes from this direction vanishes; see `dropResponses`. */
  drop(direction: Direction): void {
    this.#change({ dropped: new Set([...this.#weather.dropped, direction]) });
  }

  /** Every byte comes so many milliseconds later, in each direction; as many pass as before. */
  delay(ms: number): void {
    this.#change({ delay: ms });
  }

  /** Bytes a second, in each direction of each connection. */
  slow(bytesPerSecond: number): void {
    if (!(bytesPerSecond > 0)) throw new RangeError(`a proxy passes more than ${bytesPerSecond} bytes a second`);
    this.#change({ rate: bytesPerSecond });
  }

  /** Resets a connection as soon as so many more bytes of one direction have passed on it: torn frames. */
  cutAfter(direction: Direction, bytes: number): void {
    for (const pair of this.#pairs) pair.cutAfter(direction, bytes);
  }

  /**
   * Loses the next request that matches, with its connection. `answer`: the broker gets it and does it, and the client
   * hears only that its connection is broken. `request`: the broker never gets it. Resolves when it has happened.
   */
  lose(what: 'request' | 'answer', match: Match): Promise<void> {
    return new Promise((resolve) => (this.#loss = { what, match, done: resolve }));
  }

  /** Ends every fault. */
  heal(): void {
    const torn = this.#weather.dropped.size > 0;
    this.#refusing = false;
    this.#loss = null;
    if (torn) this.cut();
    for (const pair of this.#pairs) pair.uncut();
    this.#change(calm);
  }

  async close(): Promise<void> {
    this.#refusing = true;
    this.cut();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #change(some: Partial<Weather>): void {
    this.#weather = { ...this.#weather, ...some };
    for (const pair of this.#pairs) pair.wake();
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ ...this.#target, allowHalfOpen: true });
    const pair: ProxyPair = new ProxyPair(++this.#accepted, client, upstream, {
      translate: this.#translate(),
      weather: () => this.#weather,
      inspect: (bytes) => this.#inspect(pair, bytes),
      closed: () => this.#pairs.delete(pair),
    });
    this.#pairs.add(pair);
  }

  #inspect(pair: ProxyPair, bytes: Buffer): boolean {
    const loss = this.#loss;
    if (loss === null || !loss.match(bytes)) return true;
    this.#loss = null;
    if (loss.what === 'answer') pair.leave(bytes);
    else pair.cut();
    loss.done();
    return false;
  }
}

interface Loss {
  readonly what: 'request' | 'answer';
  readonly match: Match;
  readonly done: () => void;
}
