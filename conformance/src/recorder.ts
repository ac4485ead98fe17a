import type { EventBody, HistoryEvent } from './event.ts';
import { History } from './history.ts';
import type { HistoryWriter } from './history-file.ts';

/** Writes one process's events into a history, and into a file where there is one. */
export class Recorder {
  readonly history: History = new History();
  readonly process: string;
  readonly #writer: HistoryWriter | null;
  #n = 0;
  #deliveries = 0;
  #arrivals = 0;
  #attachments = 0;
  #ops = 0;
  #stopped = false;

  constructor(process: string, writer: HistoryWriter | null = null) {
    this.process = process;
    this.#writer = writer;
  }

  record(body: EventBody): HistoryEvent {
    const at = performance.now();
    const event: HistoryEvent = { n: ++this.#n, process: this.process, at, wall: performance.timeOrigin + at, ...body };
    if (this.#stopped) return event;
    this.history.append(event);
    this.#writer?.write(event);
    return event;
  }

  /** Takes in another process's event. */
  adopt(event: HistoryEvent): void {
    if (!this.#stopped) this.history.append(event);
  }

  nextDelivery(): number {
    return ++this.#deliveries;
  }

  nextArrival(): number {
    return ++this.#arrivals;
  }

  nextAttachment(): number {
    return ++this.#attachments;
  }

  nextOp(): string {
    return String(++this.#ops);
  }

  /** The case is judged: what comes later is not part of it. */
  stop(): void {
    this.#stopped = true;
    this.#writer?.close();
  }
}
