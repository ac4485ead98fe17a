import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { HistoryEvent } from './event.ts';

/** Written before their effect, so that the file of a killed process can be trusted. */
const FLUSHED = new Set<string>(['publish.start', 'deliver', 'settle.start', 'promise.start', 'fault.start']);

/** JSON lines, one writer per process. What is written has left the process, so SIGKILL takes none of it. */
export class HistoryWriter {
  #file: number | null;
  #lines = '';
  #scheduled = false;

  constructor(path: string) {
    this.#file = openSync(path, 'ax', 0o600);
  }

  write(event: HistoryEvent): void {
    if (this.#file === null) return;
    this.#lines += `${JSON.stringify(event)}\n`;
    if (FLUSHED.has(event.type)) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  flush(): void {
    if (this.#file === null || this.#lines === '') return;
    const bytes = Buffer.from(this.#lines);
    for (let done = 0; done < bytes.length;) done += writeSync(this.#file, bytes, done);
    this.#lines = '';
  }

  close(): void {
    this.flush();
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

/** Events of one text of JSON lines. A last line that a kill cut short is left out; any other bad line is an error. */
export function parseHistory(text: string, name = 'history'): HistoryEvent[] {
  const lines = text.split('\n');
  const events: HistoryEvent[] = [];
  for (const [index, line] of lines.entries()) {
    if (line === '') continue;
    try {
      events.push(JSON.parse(line) as HistoryEvent);
    } catch (error) {
      if (index === lines.length - 1) break;
      throw new Error(`${name}, line ${index + 1} is not JSON`, { cause: error });
    }
  }
  return events;
}

/** Several processes' files, as one list; `History` orders it. */
export function readHistories(paths: readonly string[]): HistoryEvent[] {
  return paths.flatMap((path) => parseHistory(readFileSync(path, 'utf8'), path));
}
