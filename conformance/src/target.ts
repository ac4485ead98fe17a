import type { Adapter, AdapterConfig, Delivery, HeaderValue, Supports } from '@waybill/core/adapter';
import type { Fault } from './case.ts';

/** Ends a fault. Idempotent. */
export type Heal = () => Promise<void>;

/** What a case wants of a fault. A harness that can't honour a part of it throws `NotAble`, so the case is `not-run`. */
export interface FaultRequest {
  /** The adapters meant, as `Harness.adapter` made them; empty: all. */
  readonly adapters: readonly Adapter[];
  /** How many sends or deliveries, for `unknown-outcome`, `reject-sends` and `duplicate`. */
  readonly count: number;
  /** `unknown-outcome`: whether the sends are stored. */
  readonly stored: boolean;
  /** `reject-sends`: for good (denied, too large), or passing (throttled, unavailable), so that core sends again. */
  readonly refusal: 'permanent' | 'passing';
  /** Milliseconds, for `slow`. */
  readonly ms: number;
  /** `take-over`: the consumer's place, and what it holds now. */
  readonly topic: string | null;
  readonly group: string | null;
  readonly deliveries: readonly Delivery[];
}

/** Thrown by a harness: this target can't do that. */
export class NotAble extends Error {
  override readonly name: string = 'NotAble';
}

/** Resolves when the fault is in force. */
export type FaultAction = (request: FaultRequest) => Promise<Heal>;

/** A message as it lies at the broker, read or written without Waybill. Header names are those of the wire. */
export interface RawRecord {
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, HeaderValue>>;
  readonly key?: string | null;
}

/** An out-of-band client. Every method is optional: what is missing makes the cases that use it `not-run`. */
export interface Spy {
  /** Names of the broker's objects (queues, streams, groups …) that contain this text. */
  objects?(part: string): Promise<readonly string[]>;
  /** Published for the group and not settled, in flight or not. */
  depth?(topic: string, group: string): Promise<number>;
  /** Handed to a consumer and not settled. */
  inFlight?(topic: string, group: string): Promise<number>;
  /** Consumers attached to the group, as the broker counts them. */
  consumers?(topic: string, group: string): Promise<number>;
  /** What lies in the group's dead-letter topic. */
  deadLetters?(topic: string, group: string): Promise<readonly RawRecord[]>;
  /** Publishes as a program without Waybill would. */
  put?(topic: string, record: RawRecord): Promise<void>;
}

/** One broker, as one adapter reaches it. Made per suite run, closed at its end. */
export interface Harness {
  /** As the report names it: `memory`, `memory-emulated`, `redis`. */
  readonly name: string;
  readonly how: 'embedded' | 'address' | 'container' | 'process' | 'none';
  readonly kind: 'real' | 'emulator' | 'double';
  readonly version?: string;
  readonly supports: Supports;
  /** A new connection to the same broker: an adapter that nobody else uses. */
  adapter(): Adapter;
  /** What it can do to its broker. At a given address: nothing. */
  readonly faults: Partial<Record<Fault, FaultAction>>;
  readonly spy?: Spy;
  /** What an `address` must look like that means a group of this name. Default: the name itself. */
  readonly address?: (group: string) => string;
  /** With this a child process makes an adapter of the same broker by itself: an adapter module, and its config. */
  readonly child?: { readonly module: string; readonly config: AdapterConfig };
  /** Cases that are inconclusive on this target, and why: an emulator's known gaps. */
  readonly knownGaps?: Readonly<Record<string, string>>;
  /** How much longer than elsewhere waits and whole cases may take here, never a bound under test. Default 1. */
  readonly pace?: number;
  /** Requests that this process has made so far, by operation, where they are what the broker is paid for. */
  readonly requests?: () => ReadonlyMap<string, number>;
  /** Whether the broker answers now. Asked when a case fails: a dead broker makes it inconclusive, not failed. */
  healthy?(): Promise<boolean>;
  /**
   * The same broker through connections of its own, so that a fault there reaches nobody else: cases that strike
   * connections then run beside others. Absent: they run one at a time, as those that strike the broker itself do.
   */
  apart?(): Promise<Harness>;
  /**
   * Deletes what a case that has ended made. A broker that keeps it all is slow, and slower to come back.
   *
   * @param names The names that it used, each fresh: those of everything that it made begin with one, behind any prefix.
   */
  tidy?(names: readonly string[]): Promise<void>;
  /** Deletes what was created under the run's prefix. */
  close(): Promise<void>;
}

/**
 * Whether this harness can do that. Consumers in processes of their own can be killed and stopped by anybody; where
 * there are none, a connection that crashes stands for one that is killed.
 */
export function able({ faults, child }: Harness, fault: Fault): boolean {
  if (fault === 'kill-consumer') return child !== undefined || faults['crash-connection'] !== undefined;
  if (fault === 'stop-consumer') return child !== undefined;
  return faults[fault] !== undefined;
}

/** No broker to run on: every case is `not-run`, with this reason. */
export interface MissingTarget {
  readonly name: string;
  readonly missing: string;
  /** WAYBILL_REQUIRE names it: its absence is a failure of the run. */
  readonly required: boolean;
}
