import type { Ability, AbilityName, RunningBroker, StartOptions } from './running-broker.ts';
import type { HostNode } from './host.ts';
import type { Tool } from './kit.ts';
import type { Translate } from './proxy-pair.ts';
import type { Stock } from './stock.ts';

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
  /** What it can't be made to do, and why. */
  readonly limits: Readonly<Partial<Record<AbilityName, string>>>;
  /** Where answers say an address to go on with: puts that of the proxy in its place. For one connection each. */
  translate?(broker: Place, proxy: Place): Translate;
  /** Deletes all that is in it. Never called for a broker at a given address. */
  reset(place: Place): Promise<void>;
  /** What this kind of broker has beside the common methods. @param users Why users can't be made, or true. */
  extras(place: Place, users: Ability, nodes: readonly HostNode[]): Extras;
}

/** A broker at an address of the environment. */
export interface Visit<Extras extends object> extends Contact<Extras> {
  readonly place: Place;
  /** Where it is of another kind than what the testbed starts. */
  readonly kind?: RunningBroker['kind'];
}

/** A program, and how it is called. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Beside the variables of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** How a process is started. */
export interface Launch extends Command {
  /** What it reads from its standard input: settings, so that no secret is in the list of processes. */
  readonly input?: string;
  /** What must run beside it. Started first, and once: it outlives restarts of the broker. */
  readonly companion?: Command;
}

/** What there is to start a process with. */
export interface Ground {
  /** Which process of a broker that is several, from 0. */
  readonly node: number;
  /** The same at every start. */
  readonly folder: string;
  /** The recipe's first tool. */
  readonly program: string;
  /** The folder of its stock; empty for a broker without. */
  readonly stock: string;
}

/** How a container is started. */
export interface Crate {
  /** Which ports of the host lead to which inside. */
  readonly ports: readonly { readonly inside: number; readonly outside: number }[];
  /** Empty: the image's own. */
  readonly command: readonly string[];
  /** Written before it starts, so that no secret is in its environment or command. */
  readonly files: readonly { readonly content: string; readonly target: string }[];
}

/** A broker of our own, with secrets made for it. */
export interface Plan<Extras extends object> extends Contact<Extras> {
  /** How many processes it is. Default 1. */
  readonly nodes?: number;
  /** Called at every start of a process, with the same ground. */
  launch(ground: Ground): Promise<Launch>;
  /** Or why it can't run in a container. */
  readonly crate: Crate | string;
  /** The version that the server has printed; for those whose protocol does not say it. */
  printed?(log: readonly string[]): string | null;
  /** After every start, the first too: makes again what does not outlive a process. */
  restore(place: Place): Promise<void>;
}

/** What the testbed must know of one kind of broker. Adding a broker is writing one of these. */
export interface Recipe<Options extends StartOptions, Extras extends object> {
  readonly name: string;
  readonly kind: 'real' | 'emulator';
  /** What a process needs of this machine. The first one is run. */
  tools(options: Options): readonly Tool[];
  /** What it is made of beside. */
  stock?(options: Options): Stock | null;
  readonly image: string;
  /** How many ports it listens on. All are chosen before its first start; the first is the broker's own. */
  ports(options: Options): number;
  /** @param ports None while only the options are looked at. @throws TestbedError for options that can't be */
  plan(options: Options, ports: readonly number[]): Plan<Extras>;
  /** @throws TestbedError without a secret, when the URL is wrong */
  visit(url: string): Visit<Extras>;
}
