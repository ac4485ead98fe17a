import type { CapabilityPath, Supports } from '@waybill/core/adapter';
import type { CaseContext } from './case-context.ts';
import type { Judgement } from './finding.ts';
import type { GuaranteeId } from './guarantees.ts';

/** What a harness may be able to do to its broker, its connections and its consumers. */
export type Fault =
  /** Connections end, new ones fail, until healed. */
  | 'cut'
  /** Connections stay open and nothing passes, until healed. */
  | 'stall'
  /** Requests pass, answers do not, until healed. */
  | 'drop-responses'
  /** The broker dies without warning; healing starts it again with what it had stored. */
  | 'kill-broker'
  /** Killed and started again, in one step. */
  | 'restart'
  /** The broker's process is stopped (SIGSTOP), until healed. */
  | 'pause'
  /** One consumer process dies without warning. */
  | 'kill-consumer'
  /** One connection of the suite's own process dies as its process would: nothing is settled, given back or said. */
  | 'crash-connection'
  /** One consumer process is stopped (SIGSTOP) and woken up. */
  | 'stop-consumer'
  /** The next sends are stored, and their answer is lost. */
  | 'unknown-outcome'
  /** The next sends are refused by the broker, stored nowhere. */
  | 'reject-sends'
  /** Leases end, or partitions are taken away, as if the owner had been too slow. */
  | 'take-over'
  /** Every operation takes longer, until healed. */
  | 'slow'
  /** The next deliveries come a second time. */
  | 'duplicate';

export const FAULTS: readonly Fault[] = [
  'cut',
  'stall',
  'drop-responses',
  'kill-broker',
  'restart',
  'pause',
  'kill-consumer',
  'crash-connection',
  'stop-consumer',
  'unknown-outcome',
  'reject-sends',
  'take-over',
  'slow',
  'duplicate',
];

/**
 * `quick`: under two seconds. `slow`: up to half a minute, by its nature (leases, delays). `fault`: injects faults, so
 * it runs alone. `long`: minutes; only in full runs.
 */
export type Cost = 'quick' | 'slow' | 'fault' | 'long';

/** One behaviour, as data. The runner turns it into a Vitest test, a line of a CLI run, and a row of the report. */
export interface ConformanceCase {
  /** `<guarantee>.<slug>`: `O2.hold-key-on-retry`. */
  readonly id: string;
  /** The guarantees it proves; the first is the one its id names. */
  readonly guarantees: readonly [GuaranteeId, ...GuaranteeId[]];
  /** One sentence for users: what holds, not what the case does. */
  readonly title: string;
  readonly cost: Cost;
  /** Capabilities that must not be refused. If one is, its must-refuse twin runs instead of `run`. */
  readonly needs?: Partial<Record<CapabilityPath, true>>;
  /** The capability whose `by` the report shows (`native` or `emulated`). Default: the first of `needs`; else native. */
  readonly by?: CapabilityPath;
  /** What the harness must be able to do; else the verdict is `not-run`. */
  readonly faults?: readonly Fault[];
  /** Whether an out-of-band client (`t.spy`) is needed; else the verdict is `not-run`. */
  readonly spy?: boolean;
  /**
   * A declared value, not a capability, that leaves the case without a subject (`settle.mode` is individual). Its text
   * becomes the reason of the verdict `refused`. Return null where the case has one.
   */
  readonly declinedBy?: (supports: Supports) => string | null;
  /** Milliseconds, scaled by WAYBILL_TIME_FACTOR. Default by cost: 30 s, 90 s, 180 s, 900 s. */
  readonly timeout?: number | ((supports: Supports) => number);
  /** The positive case. It must judge or assert something: a case that examined nothing is inconclusive. */
  readonly run: (t: CaseContext) => Promise<Judgement | void>;
  /** The must-refuse twin. Default: the one in `must-refuse.ts` of the refused need, where a user option asks for it. */
  readonly refused?: (t: CaseContext, path: CapabilityPath) => Promise<Judgement | void>;
}

export type Verdict = 'passed' | 'failed' | 'refused' | 'not-run' | 'inconclusive';
