import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { textOf } from './readiness.ts';
import type { Command } from './recipe.ts';
import type { Watchdog } from './watchdog.ts';

export interface OwnProcessOptions extends Command {
  readonly folder: string;
  readonly input: string;
  readonly dog: Watchdog;
  readonly print: (text: string) => void;
}

/** How long an end may take. */
const patience = 15_000;

/** A child of this process that its watchdog ends, if this process can't. What is spawned is the program itself. */
export class OwnProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #end: Promise<unknown>;
  #why: string | null = null;

  constructor({ program, args, env = {}, folder, input, dog, print }: OwnProcessOptions) {
    const child = spawn(program, args, {
      cwd: folder,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) dog.guard(pid);
    this.#end = new Promise((resolve) => {
      const over = (why: string): void => {
        if (this.#why !== null) return;
        if (pid !== undefined) dog.release(pid);
        this.#why = why;
        resolve(why);
      };
      child.once('exit', (code, signal) => over(`it ended (${signal ?? `exit code ${code}`})`));
      child.once('error', (error) => {
        if (pid === undefined) over(`it could not be started: ${textOf(error)}`);
      });
    });
    // Read always: a broker whose pipe is full stops.
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', print);
      (stream as Socket).unref();
    }
    child.stdin.on('error', () => undefined); // it has ended before it read its settings
    child.stdin.end(input);
    child.unref(); // a broker that was forgotten must not hold the process; the watchdog ends it
  }

  /** Why it does not run; null while it does. */
  get ended(): string | null {
    return this.#why;
  }

  /** SIGTERM, and after a while SIGKILL. */
  async stop(): Promise<void> {
    if (this.#why !== null) return;
    this.#child.kill('SIGTERM');
    this.#child.kill('SIGCONT'); // a process that is stopped hears no SIGTERM
    if (await this.#gone()) return;
    await this.kill();
  }

  /** SIGKILL. Resolves when it has gone. */
  async kill(): Promise<void> {
    if (this.#why !== null) return;
    this.#child.kill('SIGKILL');
    if (!(await this.#gone())) throw new Error(`process ${this.#child.pid} does not end`);
  }

  /** SIGSTOP. Resolves when all of its threads are stopped, where the system tells. */
  async pause(): Promise<void> {
    if (this.#why !== null) throw new Error(this.#why);
    this.#child.kill('SIGSTOP');
    for (let look = 0; look < 100 && this.#why === null; look++) {
      const line = await readFile(`/proc/${this.#child.pid}/stat`, 'latin1').catch(() => null);
      if (line === null || line.slice(line.lastIndexOf(')') + 2).startsWith('T')) return;
      await sleep(10);
    }
  }

  unpause(): void {
    if (this.#why !== null) throw new Error(this.#why);
    this.#child.kill('SIGCONT');
  }

  /** True when it has ended in time. */
  async #gone(): Promise<boolean> {
    this.#child.ref();
    const stop = new AbortController();
    const late = sleep(patience, false, { signal: stop.signal }).catch(() => false);
    try {
      return await Promise.race([this.#end.then(() => true), late]);
    } finally {
      stop.abort();
      this.#child.unref();
    }
  }
}
