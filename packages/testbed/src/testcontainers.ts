import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/*
 * What the testbed uses of the package testcontainers, by its shape: whoever starts no container needs neither the
 * package nor its types.
 */

/** A container as the engine sees it. */
export interface EngineContainer {
  readonly id: string;
  start(): Promise<unknown>;
  stop(options: { readonly t: number }): Promise<unknown>;
  kill(): Promise<unknown>;
  pause(): Promise<unknown>;
  unpause(): Promise<unknown>;
  remove(options: { readonly force: boolean; readonly v: boolean }): Promise<unknown>;
  inspect(): Promise<{
    readonly State: { readonly Running: boolean; readonly Paused: boolean; readonly ExitCode: number };
  }>;
  logs(options: {
    readonly stdout: true;
    readonly stderr: true;
    readonly tail: number;
    readonly follow: false;
  }): Promise<Uint8Array>;
}

interface Engine {
  readonly info: { readonly containerRuntime: { readonly host: string } };
  readonly container: { getById(id: string): EngineContainer };
}

interface PortBinding {
  HostIp?: string;
  HostPort?: string;
}

interface ContainerMaker {
  hostConfig: { PortBindings?: Record<string, PortBinding[]> };
  beforeContainerCreated?(): Promise<void>;
  containerCreated?(id: string): Promise<void>;
  withExposedPorts(...ports: { readonly container: number; readonly host: number }[]): this;
  withCommand(command: string[]): this;
  withCopyContentToContainer(files: { content: string; target: string; mode?: number }[]): this;
  withWaitStrategy(strategy: WaitStrategy): this;
  withAutoRemove(on: boolean): this;
  start(): Promise<unknown>;
}

export interface WaitStrategy {
  waitUntilReady(): Promise<void>;
  withStartupTimeout(ms: number): WaitStrategy;
  isStartupTimeoutSet(): boolean;
  getStartupTimeout(): number;
}

export interface Testcontainers {
  readonly GenericContainer: new (image: string) => ContainerMaker;
  getContainerRuntimeClient(): Promise<Engine>;
}

/** Null when the package is not installed. */
export async function loadTestcontainers(): Promise<Testcontainers | null> {
  let path: string;
  try {
    path = createRequire(import.meta.url).resolve('testcontainers');
  } catch {
    return null;
  }
  // By its path: the compiler would look for the types of a name, and Vite puts an optional peer's stand-in there.
  return (await import(/* @vite-ignore */ pathToFileURL(path).href)) as Testcontainers;
}
