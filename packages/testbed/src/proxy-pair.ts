import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { type Direction, ProxyFlow, type Weather } from './proxy-flow.ts';

export interface ProxyConnection {
  /** Counts from 1. */
  readonly id: number;
  readonly bytes: Readonly<Record<Direction, number>>;
}

/** Bytes, as one read gave them: a request may begin in one and end in the next. */
export type Match = (bytes: Buffer) => boolean;

/** Sees the bytes of one connection and may change them; what it holds back, it gives with later ones. */
export type Translate = (direction: Direction, bytes: Buffer) => Buffer;

export interface PairOptions {
  readonly translate: Translate | undefined;
  readonly weather: () => Weather;
  readonly inspect: Match;
  readonly closed: () => void;
}

/** A client's connection and ours to the broker. */
export class ProxyPair implements ProxyConnection {
  readonly id: number;
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 };
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #flows: readonly ProxyFlow[];
  readonly #closed: () => void;
  readonly #limit: Record<Direction, number> = { up: Infinity, down: Infinity };

  constructor(id: number, client: Socket, upstream: Socket, { translate, weather, inspect, closed }: PairOptions) {
    this.id = id;
    this.#client = client;
    this.#upstream = upstream;
    this.#closed = closed;
    const flow = (from: Socket, to: Socket, direction: Direction): ProxyFlow =>
      new ProxyFlow({
        from,
        to,
        direction,
        translate: (bytes) => translate?.(direction, bytes) ?? bytes,
        weather,
        inspect: (bytes) => this.#within(direction, bytes, to) && (direction === 'down' || inspect(bytes)),
        passed: (count) => (this.bytes[direction] += count),
      });
    this.#flows = [flow(client, upstream, 'up'), flow(upstream, client, 'down')];
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.unref();
      socket.on('error', () => this.cut());
      socket.on('close', () => {
        if (client.destroyed && upstream.destroyed) this.#over();
      });
    }
  }

  wake(): void {
    for (const flow of this.#flows) flow.wake();
  }

  cut(): void {
    this.#over();
    reset(this.#client);
    reset(this.#upstream);
  }

  cutAfter(direction: Direction, bytes: number): void {
    this.#limit[direction] = this.bytes[direction] + bytes;
  }

  uncut(): void {
    this.#limit.up = Infinity;
    this.#limit.down = Infinity;
  }

  /**
   * The broker gets these last bytes, then the end of the stream, after which it still does what it has read: a reset
   * could make its system throw away what it has not read. The client's connection is reset.
   */
  leave(last: Buffer): void {
    this.#over();
    reset(this.#client);
    this.#upstream.resume(); // the answers, unread
    this.#upstream.end(last);
  }

  /** False when the limit has been reached: what was within it has been written, and the connection is cut. */
  #within(direction: Direction, bytes: Buffer, to: Socket): boolean {
    const room = this.#limit[direction] - this.bytes[direction];
    if (bytes.length < room) return true;
    this.bytes[direction] += room;
    if (room === 0) this.cut();
    else to.write(bytes.subarray(0, room), () => this.cut());
    return false;
  }

  #over(): void {
    for (const flow of this.#flows) flow.stop();
    this.#closed();
  }
}

/**
 * Node can reset only a socket that stands in both directions. From one whose end is under way it would lose the handle:
 * never closed, and the process spins for ever at its exit.
 */
function reset(socket: Socket): void {
  if (socket.connecting || socket.writableEnded) socket.destroy();
  else if (!socket.destroyed) socket.resetAndDestroy();
}
