import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';

/** From the client to the broker, or back. */
export type Direction = 'up' | 'down';

/** What the network does at the moment. */
export interface Weather {
  readonly stalled: ReadonlySet<Direction>;
  readonly dropped: ReadonlySet<Direction>;
  /** Milliseconds. */
  readonly delay: number;
  /** Bytes a second in each direction of each connection; null: as fast as it goes. */
  readonly rate: number | null;
}

/** What lies between two sockets at most, before the sender feels it. */
const high = 1024 * 1024;
/** Bytes of one step while the network is slow: a step a hundredth of a second, but at least this. */
const step = 64;

interface Parcel {
  readonly bytes: Buffer;
  readonly came: number;
}

export interface FlowOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly direction: Direction;
  readonly translate: (bytes: Buffer) => Buffer;
  readonly weather: () => Weather;
  /** Sees each chunk before it goes on. False: it does not go on. */
  readonly inspect: (bytes: Buffer) => boolean;
  readonly passed: (count: number) => void;
}

/**
 * One direction of one connection. Chunks wait in a queue until they are due, so that a delay costs no throughput, and
 * stay there while the direction is stalled.
 */
export class ProxyFlow {
  readonly #options: FlowOptions;
  readonly #queue: Parcel[] = [];
  #size = 0;
  #ended = false;
  #over = false;
  #running = false;
  #wake: (() => void) | null = null;

  constructor(options: FlowOptions) {
    this.#options = options;
    const { from, translate } = options;
    from.on('data', (read: Buffer) => {
      const bytes = translate(read);
      if (bytes.length === 0) return;
      this.#queue.push({ bytes, came: performance.now() });
      this.#size += bytes.length;
      if (this.#size > high) from.pause();
      void this.#run();
    });
    from.on('end', () => {
      this.#ended = true;
      void this.#run();
    });
  }

  /** The weather has changed. */
  wake(): void {
    this.#wake?.();
  }

  /** Nothing passes any more. */
  stop(): void {
    this.#over = true;
    this.#queue.length = 0;
    this.wake();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    const { from, to } = this.#options;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (await this.#waited(next)) continue;
      this.#queue.shift();
      this.#size -= next.bytes.length;
      if (this.#size < high / 2) from.resume();
      await this.#forward(next.bytes);
    }
    this.#running = false;
    if (this.#ended && !this.#over && !to.destroyed) to.end();
  }

  /** False when it may go on now; else true, after something has changed. */
  async #waited({ came }: Parcel): Promise<boolean> {
    const { stalled, delay } = this.#options.weather();
    const left = came + delay - performance.now();
    if (stalled.has(this.#options.direction)) await this.#pause(null);
    else if (left > 0) await this.#pause(left);
    else return false;
    return true;
  }

  async #forward(bytes: Buffer): Promise<void> {
    const { direction, weather, inspect } = this.#options;
    if (weather().dropped.has(direction)) return;
    if (!inspect(bytes)) return;
    for (let at = 0; at < bytes.length && !this.#over;) {
      const { rate } = weather();
      const size = rate === null ? bytes.length - at : Math.max(step, Math.ceil(rate / 100));
      const part = bytes.subarray(at, at + size);
      if (rate !== null) await this.#pause((part.length / rate) * 1_000);
      await this.#write(part);
      at += part.length;
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    const { to, passed } = this.#options;
    if (this.#over || to.destroyed) return;
    passed(bytes.length);
    if (to.write(bytes)) return;
    const drained = (): void => this.wake();
    to.once('drain', drained);
    to.once('close', drained);
    await this.#pause(null);
    to.off('drain', drained);
    to.off('close', drained);
  }

  /** @param ms Milliseconds; null: until something changes. */
  #pause(ms: number | null): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === null ? undefined : setTimeout(() => this.#wake?.(), ms).unref();
      this.#wake = () => {
        this.#wake = null;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
