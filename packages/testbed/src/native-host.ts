import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host } from './host.ts';
import { LogRing } from './log-ring.ts';
import { OwnProcess } from './own-process.ts';
import type { Command, Launch, Place } from './recipe.ts';
import { Watchdog } from './watchdog.ts';

export interface NativeOptions {
  readonly name: string;
  readonly port: number;
  /** Kept at the end. Null: a temporary one. */
  readonly folder: string | null;
  readonly launch: (folder: string) => Promise<Launch>;
}

/** A broker as a child of this process, and what must run beside it. */
export class NativeHost implements Host {
  readonly place: Place;
  readonly #options: NativeOptions;
  readonly #folder: string;
  readonly #dog: Watchdog;
  readonly #log = new LogRing();
  #broker: OwnProcess | null = null;
  #companion: OwnProcess | null = null;
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
    return this.#broker !== null && this.#broker.ended === null;
  }

  ended(): Promise<string | null> {
    return Promise.resolve(this.#broker === null ? 'it was not started yet' : this.#broker.ended);
  }

  async start(): Promise<void> {
    if (this.running) return;
    const { companion, ...broker } = await this.#options.launch(this.#folder);
    if (this.#closed) throw new Error('it was disposed of');
    if (companion !== undefined && this.#companion?.ended !== null) this.#companion = this.#spawn(companion);
    this.#broker = this.#spawn(broker);
  }

  async stop(): Promise<void> {
    if (this.running) await this.#broker?.stop();
  }

  async kill(): Promise<void> {
    await this.#broker?.kill();
  }

  async pause(): Promise<void> {
    await this.#living().pause();
  }

  async unpause(): Promise<void> {
    this.#living().unpause();
  }

  log(lines: number): Promise<readonly string[]> {
    return Promise.resolve(this.#log.tail(lines));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.kill();
    await this.#companion?.kill();
    if (this.#options.folder === null) await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
    await this.#dog.end();
  }

  #spawn(command: Command & { readonly input?: string }): OwnProcess {
    return new OwnProcess({
      input: '',
      ...command,
      folder: this.#folder,
      dog: this.#dog,
      print: (text) => this.#log.add(text),
    });
  }

  #living(): OwnProcess {
    if (this.#broker === null) throw new Error('it was not started yet');
    return this.#broker;
  }
}
