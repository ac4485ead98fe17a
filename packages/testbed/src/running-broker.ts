import type { Tried, Way } from './not-run.ts';
import type { Environment } from './program.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/** What may be asked of every broker. */
export interface StartOptions {
  /** The only way to try. Default: `WAYBILL_BROKER_FROM`, else address, container, process, in this order. */
  readonly from?: Way;
  /** Variables instead of those of this process. */
  readonly env?: Environment;
  /** Milliseconds until it must be ready. Default 120,000. */
  readonly deadline?: number;
  /** A port of 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Where a process keeps its data; not removed at the end. Default: a temporary folder, removed at the end. */
  readonly folder?: string;
}

/** Something a broker can be made to do: true, or why not, in words that suit a skipped test. */
export type Ability = true | string;

export type AbilityName = 'kill' | 'stop' | 'pause' | 'restart' | 'proxy' | 'reset' | 'users';

/** A proxy of one broker. */
export type BrokerProxy = TcpProxy & {
  /** The broker's, by way of the proxy. */
  readonly url: string;
};

/**
 * A broker that answers. Every method resolves when its effect is there, is idempotent and has a deadline; calls made
 * at the same time run one after the other. Where `can` says why not, the method rejects with these words.
 */
export interface RunningBroker extends AsyncDisposable {
  readonly name: string;
  /** Credentials and all. */
  readonly url: string;
  /** As the server says. */
  readonly version: string;
  readonly how: Way;
  readonly kind: 'real' | 'emulator' | 'double';
  /** Ways that came first and did not work. */
  readonly tried: readonly Tried[];
  readonly can: Readonly<Record<AbilityName, Ability>>;
  /** Whether it runs, as far as this process knows: false after `kill`, and after it has died by itself. */
  readonly running: boolean;
  /** Ends it in order, as an operator would. Its data stay until it is disposed of. */
  stop(): Promise<void>;
  /** SIGKILL. Resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: it keeps its connections and answers nothing. */
  pause(): Promise<void>;
  /** SIGCONT. Resolves when it answers again. */
  unpause(): Promise<void>;
  /** On the same data, port and URL, also after `kill` and `stop`. Default: `stop`. Resolves when it answers again. */
  restart(options?: { readonly how?: 'stop' | 'kill' }): Promise<void>;
  /** A new proxy in front of it, closed with it. It survives restarts. */
  proxy(): Promise<BrokerProxy>;
  /** Deletes everything in it. */
  reset(): Promise<void>;
  /** The last lines that it has printed. */
  log(lines?: number): Promise<readonly string[]>;
  /** Kills it and removes its data; closes its proxies. Nothing of it is left then. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The testbed could not do what it was asked to. Holds no secret. */
export class TestbedError extends Error {
  override readonly name: string = 'TestbedError';
  /** The last lines of the broker's log. */
  readonly log: readonly string[];

  constructor(message: string, log: readonly string[] = [], options?: ErrorOptions) {
    super(
      log.length === 0 ? message : `${message}\nIts last lines:\n${log.map((line) => `  ${line}`).join('\n')}`,
      options,
    );
    this.log = log;
  }
}
