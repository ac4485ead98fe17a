import type { Ability, StartOptions } from './running-broker.ts';

/** Where a broker, or a proxy of it, is reached. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** How to talk to one broker: its secrets are in there. */
export interface Contact<Extras extends object> {
  url(place: Place): string;
  /** The server's version, when it is ready. Rejects while it is not. @param timeout Milliseconds. */
  probe(place: Place, timeout: number): Promise<string>;
  /** Whether waiting does not cure this error of `probe`. */
  hopeless(error: unknown): boolean;
  /** Why there can be no proxy in front of it, or true. */
  readonly proxied: Ability;
  /** Deletes all that is in it. Never called for a broker at a given address. */
  reset(place: Place): Promise<void>;
  /** What this kind of broker has beside the common methods. @param users Why users can't be made, or true. */
  extras(place: Place, users: Ability): Extras;
}

/** A broker at an address of the environment. */
export interface Visit<Extras extends object> extends Contact<Extras> {
  readonly place: Place;
}

/** How a process is started. */
export interface Launch {
  readonly args: readonly string[];
  /** What it reads from its standard input: settings, so that no secret is in the list of processes. */
  readonly input: string;
}

/** How a container is started. */
export interface Crate {
  /** The broker's port inside. */
  readonly port: number;
  readonly command: readonly string[];
  /** Written before it starts, so that no secret is in its environment or command. */
  readonly files: readonly { readonly content: string; readonly target: string }[];
}

/** A broker of our own, with secrets made for it. */
export interface Plan<Extras extends object> extends Contact<Extras> {
  /** Called at every start, with the same folder and port. */
  launch(folder: string, port: number): Promise<Launch>;
  /** Or why it can't run in a container. */
  readonly crate: Crate | string;
  /** After every start: makes again what does not outlive a process. */
  restore(place: Place): Promise<void>;
}

/** What the testbed must know of one kind of broker. Adding a broker is writing one of these. */
export interface Recipe<Options extends StartOptions, Extras extends object> {
  readonly name: string;
  readonly kind: 'real' | 'emulator';
  /** Looked for on the PATH. */
  readonly program: string;
  readonly debian: readonly string[];
  readonly image: string;
  /** @throws TestbedError for options that can't be */
  plan(options: Options): Plan<Extras>;
  /** @throws TestbedError without a secret, when the URL is wrong */
  visit(url: string): Visit<Extras>;
}
