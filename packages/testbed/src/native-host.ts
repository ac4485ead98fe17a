import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './host.ts';
import { LogRing } from './log-ring.ts';
import { textOf } from './readiness.ts';
import type { Launch, Place } from './recipe.ts';
import { Watchdog } from './watchdog.ts';

export interface NativeOptions {
  readonly name: string;
  readonly program: string;
  readonly port: number;
  /** Kept at the end. Null: a temporary one. */
  readonly folder: string | null;
  readonly launch: (folder: string, port: number) => Promise<Launch>;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** How long an end in order may take before it is a SIGKILL. */
const patience = 15_000;

/** A broker as a child of this process. What is spawned is the broker itself, so that its pid is the one to signal. */
export class NativeHost implements Host {
  readonly place: Place;
  readonly #options: NativeOptions;
  readonly #folder: string;
  readonly #dog: Watchdog;
  readonly #log = new LogRing();
  #child: Child | null = null;
  #end: Promise<unknown> = Promise.resolve();
  #why = 'it was not started yet';
  #closed = false;

  private constructor(options: NativeOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.place = { host: '127.0.0.1', port: options.port };
    this.#dog = new Watchdog(options.folder === null ? folder : '');
  }

  static async make(options: NativeOptions): Promise<NativeHost> {
    if (options.folder !== null) await mkdir(options.folder, { recursive: true });
    // Short, since some brokers make sockets in it.
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), `wb-${options.name}-`)));
    return new NativeHost(options, folder);
  }

  get running(): boolean {
    return this.#child !== null;
  }

  ended(): Promise<string | null> {
    return Promise.resolve(this.#child === null ? this.#why : null);
  }

  async start(): Promise<void> {
    if (this.#child !== null) return;
    const { program, launch, port } = this.#options;
    const { args, input } = await launch(this.#folder, port);
    if (this.#closed) throw new Error('it was disposed of');
    const child: Child = spawn(program, args, { cwd: this.#folder, stdio: ['pipe', 'pipe', 'pipe'] });
    if (child.pid !== undefined) this.#dog.guard(child.pid);
    this.#child = child;
    this.#end = new Promise((resolve) => {
      const over = (why: string): void => {
        if (this.#child !== child) return;
        this.#dog.release();
        this.#child = null;
        this.#why = why;
        resolve(why);
      };
      child.once('exit', (code, signal) => over(`it ended (${signal ?? `exit code ${code}`})`));
      child.once('error', (error) => {
        if (child.pid === undefined) over(`it could not be started: ${textOf(error)}`);
      });
    });
    // Read always: a broker whose pipe is full stops.
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#log.add(text));
      (stream as Socket).unref();
    }
    child.stdin.on('error', () => undefined); // it has ended before it read its settings
    child.stdin.end(input);
    child.unref(); // a broker that was forgotten must not hold the process; the watchdog ends it
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGTERM');
    child.kill('SIGCONT'); // a process that is stopped hears no SIGTERM
    if (await this.#gone(child, patience)) return;
    await this.kill();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    child.kill('SIGKILL');
    if (await this.#gone(child, patience)) return;
    throw new Error(`process ${child.pid} does not end`);
  }

  async pause(): Promise<void> {
    this.#living().kill('SIGSTOP');
    await this.#until('T');
  }

  async unpause(): Promise<void> {
    this.#living().kill('SIGCONT');
  }

  log(lines: number): Promise<readonly string[]> {
    return Promise.resolve(this.#log.tail(lines));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.kill();
    if (this.#options.folder === null) await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
    await this.#dog.end();
  }

  #living(): Child {
    if (this.#child === null) throw new Error(this.#why);
    return this.#child;
  }

  /** True when it has ended in time. */
  async #gone(child: Child, ms: number): Promise<boolean> {
    child.ref();
    const stop = new AbortController();
    const late = sleep(ms, false, { signal: stop.signal }).catch(() => false);
    try {
      return await Promise.race([this.#end.then(() => true), late]);
    } finally {
      stop.abort();
      child.unref();
    }
  }

  /** Waits until all of its threads are stopped, where the system tells. */
  async #until(state: string): Promise<void> {
    for (let look = 0; look < 100 && this.#child !== null; look++) {
      const line = await readFile(`/proc/${this.#child.pid}/stat`, 'latin1').catch(() => null);
      if (line === null || line.slice(line.lastIndexOf(')') + 2).startsWith(state)) return;
      await sleep(10);
    }
  }
}
