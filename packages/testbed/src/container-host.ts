import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from './host.ts';
import type { Crate, Place } from './recipe.ts';
import type { EngineContainer, Testcontainers, WaitStrategy } from './testcontainers.ts';

export interface ContainerOptions {
  readonly image: string;
  readonly crate: Crate;
  /** The broker's own, of the host. */
  readonly port: number;
  /** Milliseconds for the engine to get the image, and to start it. */
  readonly deadline: number;
}

/** Readiness is ours to judge, by protocol. */
const noWait: WaitStrategy = {
  waitUntilReady: () => Promise.resolve(),
  withStartupTimeout: () => noWait,
  isStartupTimeoutSet: () => false,
  getStartupTimeout: () => 0,
};

/** Seconds until the engine turns an end in order into a SIGKILL. */
const patience = 10;

/**
 * A broker in a container that is made once and started again and again, so that data and port stay. Kill and pause are
 * the engine's. After a crash of this process the reaper of testcontainers removes it, where it is on.
 */
export class ContainerHost implements Host {
  readonly place: Place;
  readonly #container: EngineContainer;
  running = true;
  #closed = false;

  private constructor(container: EngineContainer, place: Place) {
    this.#container = container;
    this.place = place;
  }

  /** Gets the image, makes the container and starts it. Rejects within the deadline, leaving nothing behind. */
  static async make(library: Testcontainers, options: ContainerOptions): Promise<ContainerHost> {
    const { image, crate, port, deadline } = options;
    const engine = await library.getContainerRuntimeClient();
    const { host } = engine.info.containerRuntime;
    const local = host === 'localhost' || host.startsWith('127.');
    let made: EngineContainer | null = null;
    let late = false;
    const container = new library.GenericContainer(image);
    container
      .withExposedPorts(...crate.ports.map(({ inside, outside }) => ({ container: inside, host: outside })))
      .withCommand([...crate.command])
      .withCopyContentToContainer(crate.files.map((file) => ({ ...file, mode: 0o644 })))
      .withWaitStrategy(noWait)
      .withAutoRemove(false);
    container.beforeContainerCreated = async () => {
      if (late) throw new Error('too late');
      // An engine elsewhere maps to its own addresses: there loopback would be the wrong one.
      for (const bindings of local ? Object.values(container.hostConfig.PortBindings ?? {}) : [])
        for (const binding of bindings) binding.HostIp = '127.0.0.1';
    };
    container.containerCreated = async (id) => {
      made = engine.container.getById(id);
    };
    const remove = async (): Promise<void> =>
      void (await made?.remove({ force: true, v: true }).catch(() => undefined));
    const starting = container.start();
    const stop = new AbortController();
    const over = sleep(deadline, undefined, { signal: stop.signal }).then(() => {
      late = true;
      throw new Error(`the engine did not start ${image} within ${deadline} ms`);
    });
    over.catch(() => undefined);
    try {
      await Promise.race([starting, over]);
    } catch (error) {
      void starting.then(remove, remove);
      await remove();
      throw error;
    } finally {
      stop.abort();
    }
    if (made === null) throw new Error(`the engine started ${image} without saying where`);
    return new ContainerHost(made, { host: host === 'localhost' ? '127.0.0.1' : host, port });
  }

  async ended(): Promise<string | null> {
    if (this.#closed) return 'it was disposed of';
    const { State } = await this.#container.inspect();
    return State.Running ? null : `its container ended (exit code ${State.ExitCode})`;
  }

  async start(): Promise<void> {
    if (this.#closed) throw new Error('it was disposed of');
    if ((await this.ended()) !== null) await this.#container.start();
    this.running = true;
  }

  async stop(): Promise<void> {
    await this.#awake();
    if ((await this.ended()) === null) await this.#container.stop({ t: patience });
    this.running = false;
  }

  async kill(): Promise<void> {
    await this.#awake();
    if ((await this.ended()) === null) await this.#container.kill();
    for (let look = 0; look < 500 && (await this.ended()) === null; look++) await sleep(20);
    this.running = false;
  }

  async pause(): Promise<void> {
    await this.#container.pause();
  }

  async unpause(): Promise<void> {
    await this.#container.unpause();
  }

  async log(lines: number): Promise<readonly string[]> {
    if (this.#closed) return [];
    const bytes = await this.#container.logs({ stdout: true, stderr: true, tail: lines, follow: false });
    return linesOf(Buffer.from(bytes));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.running = false;
    await this.#awake().catch(() => undefined);
    await this.#container.remove({ force: true, v: true });
  }

  /** An engine does not end what it has frozen. */
  async #awake(): Promise<void> {
    if ((await this.#container.inspect()).State.Paused) await this.#container.unpause();
  }
}

/** The engine's log: frames of eight bytes, of which the last four are the length of the text that follows. */
function linesOf(bytes: Buffer): string[] {
  let text = '';
  for (let at = 0; at + 8 <= bytes.length;) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    text += bytes.toString('utf8', at + 8, end);
    at = end;
  }
  return text.split(/\r?\n/).filter((line) => line !== '');
}
