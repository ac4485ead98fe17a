import type { Place } from './recipe.ts';

/** One process of a broker that is several. */
export interface HostNode {
  /** Resolves when it has been started, ready or not. */
  start(): Promise<void>;
  kill(): Promise<void>;
}

/** What runs a broker of ours. It knows nothing of protocols; `Handle` does. */
export interface Host {
  readonly place: Place;
  /** Its processes, where it may be several. */
  readonly nodes?: readonly HostNode[];
  /** Why the broker does not run; null while it does. */
  ended(): Promise<string | null>;
  /** The same without asking anybody: as far as is known here. */
  readonly running: boolean;
  /** Resolves when it has been started, ready or not. */
  start(): Promise<void>;
  /** The end, in order. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  pause(): Promise<void>;
  unpause(): Promise<void>;
  log(lines: number): Promise<readonly string[]>;
  /** Kills it and removes all of it. Nothing starts it again. */
  close(): Promise<void>;
}
