import { WaybillError } from '@waybill/core/adapter';
import type { Source } from './delivery.ts';
import { Tap, type TapDelivery, type TapOptions } from './tap.ts';

/** What a queue that is read a message at a time gets to show the next one. */
const GLANCE = 250;

export interface PartitionSource extends Source {
  /** How strongly this consumer is drawn to the partition, from servers that heed it on; else null. */
  readonly priority: number | null;
}

export interface ReaderOptions extends Pick<TapOptions, 'connection' | 'outlived'> {
  readonly source: PartitionSource;
  /** Most unsettled deliveries. */
  readonly window: number;
  readonly push: (delivery: TapDelivery) => void;
  /** Its turn to be read alone is wanted, or is over. */
  readonly onTurn: () => void;
  readonly onEnd: (error: unknown) => void;
}

/**
 * Reads one partition's queue through a channel of its own: a consumer that was cancelled may still hold what the next
 * one must wait for, so the channel is closed instead, and then all goes back at once, in order.
 *
 * A message that was handed out many times before may be what killed the consumers (R10). When one comes, nothing more is
 * passed on, and once all before it is settled, the channel is closed. When its turn has come, the queue is read one
 * message at a time, until one comes that was never handed out before. Only one partition is read so at a time: two
 * suspects are never out together, and none is counted together with a killer.
 */
export class PartitionReader {
  readonly source: PartitionSource;
  readonly #options: ReaderOptions;
  #tap: Tap | null = null;
  #state: 'windowed' | 'waiting' | 'alone' = 'windowed';
  /** The arrivals of the suspect that it waits for its turn with. */
  #suspicion = 0;
  /** The channel is to be closed once what was passed on is settled. */
  #leaving = false;
  /** Come since then, and not passed on. */
  #kept = 0;
  #glance: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.source = options.source;
  }

  /** While it waits for its turn to be read alone: how suspicious it is. */
  get waiting(): number | null {
    return this.#state === 'waiting' ? this.#suspicion : null;
  }

  get alone(): boolean {
    return this.#state === 'alone';
  }

  /** Come and not settled. */
  get unsettled(): number {
    return this.#tap?.unsettled ?? 0;
  }

  /** Of these, what was passed on. */
  get passedOn(): number {
    return this.unsettled - this.#kept;
  }

  /** Reads by windows. @throws what the server said */
  open(): Promise<void> {
    this.#state = 'windowed';
    return this.#open(this.#options.window);
  }

  /** It is its turn. */
  readAlone(): void {
    this.#state = 'alone';
    this.#open(1).then(() => this.settled(), this.#options.onEnd);
  }

  /** Something of it was settled. */
  settled(): void {
    if (this.#closed || this.#tap === null || this.passedOn > 0) return;
    if (this.#leaving) this.#leave(this.#tap).catch(this.#options.onEnd);
    else if (this.alone)
      this.#glance ??= setTimeout(() => {
        this.#leaving = true;
        this.settled();
      }, GLANCE);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#glance);
    await this.#tap?.close();
  }

  async #open(window: number): Promise<void> {
    const { connection, source, outlived, onEnd } = this.#options;
    const tap = await Tap.open({ connection, source, outlived, onEnd });
    this.#tap = tap;
    const gone = new WaybillError('not-found', `rabbitmq: the server has ended the consumer of '${source.queue}'`);
    await tap.consume(
      window,
      source.priority,
      (delivery) => this.#came(delivery),
      () => onEnd(gone),
    );
    if (this.#closed) await tap.close();
  }

  #came(delivery: TapDelivery): void {
    clearTimeout(this.#glance);
    this.#glance = undefined;
    const suspect = (delivery.deliveryCount ?? 0) >= this.source.suspect;
    // What goes back comes behind what went back before, so this must end where nothing has.
    const over = this.alone ? !delivery.raw.fields.redelivered : suspect;
    if (!this.#leaving && !over) {
      this.#options.push(delivery);
      return;
    }
    this.#kept++;
    if (this.#leaving) return;
    this.#leaving = true;
    this.#suspicion = delivery.deliveryCount ?? 0;
    this.settled();
  }

  async #leave(tap: Tap): Promise<void> {
    this.#tap = null;
    this.#leaving = false;
    this.#kept = 0;
    this.#glance = undefined;
    await tap.close();
    if (this.#closed) return;
    const wasAlone = this.alone;
    this.#state = wasAlone ? 'windowed' : 'waiting';
    this.#options.onTurn();
    if (wasAlone) await this.#open(this.#options.window);
  }
}
