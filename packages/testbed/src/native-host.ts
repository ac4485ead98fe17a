import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Host, HostNode } from './host.ts';
import { LogRing } from './log-ring.ts';
import { OwnProcess } from './own-process.ts';
import type { Command, Launch, Place } from './recipe.ts';
import { Watchdog } from './watchdog.ts';

export interface NativeOptions {
  readonly name: string;
  readonly port: number;
  /** Kept at the end. Null: a temporary one. */
  readonly folder: string | null;
  /** How many processes it is. Default 1. */
  readonly nodes?: number;
  readonly launch: (folder: string, node: number) => Promise<Launch>;
}

/** A broker as a child of this process, or as several, and what must run beside it. */
export class NativeHost implements Host {
  readonly place: Place;
  readonly #options: NativeOptions;
  readonly #folder: string;
  readonly #dog: Watchdog;
  readonly #log = new LogRing();
  readonly nodes: readonly HostNode[];
  readonly #processes: (OwnProcess | undefined)[] = [];
  #companion: OwnProcess | null = null;
  #closed = false;

  private constructor(options: NativeOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.place = { host: '127.0.0.1', port: options.port };
    this.#dog = new Watchdog(options.folder === null ? folder : '');
    this.nodes = Array.from({ length: options.nodes ?? 1 }, (_, node) => ({
      start: () => this.#start(node),
      kill: async () => this.#processes[node]?.kill(),
    }));
  }

  static async make(options: NativeOptions): Promise<NativeHost> {
    if (options.folder !== null) await mkdir(options.folder, { recursive: true });
    // Short, since some brokers make sockets in it.
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), `wb-${options.name}-`)));
    return new NativeHost(options, folder);
  }

  get running(): boolean {
    return this.#all.length > 0 && this.#all.every(({ ended }) => ended === null);
  }

  async ended(): Promise<string | null> {
    if (this.#all.length === 0) return 'it was not started yet';
    return this.#all.find(({ ended }) => ended !== null)?.ended ?? null;
  }

  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((one) => one.stop()));
  }

  async kill(): Promise<void> {
    await Promise.all(this.#all.map((one) => one.kill()));
  }

  async pause(): Promise<void> {
    for (const one of this.#all) await one.pause();
  }

  async unpause(): Promise<void> {
    for (const one of this.#all) one.unpause();
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

  get #all(): readonly OwnProcess[] {
    return this.#processes.filter((one) => one !== undefined);
  }

  async #start(node: number): Promise<void> {
    if (this.#processes[node]?.ended === null) return;
    const { companion, ...broker } = await this.#options.launch(this.#folder, node);
    if (this.#closed) throw new Error('it was disposed of');
    if (companion !== undefined && this.#companion?.ended !== null) this.#companion = this.#spawn(companion);
    this.#processes[node] = this.#spawn(broker);
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
}
