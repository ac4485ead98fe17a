import type { Adapter } from '@waybill/core/adapter';
import type { MemoryVariant } from '../harness/memory.ts';
import type { Random } from '../random.ts';

/** An adapter that breaks one thing, to prove that the cases which guard it can fail. */
export interface Saboteur {
  readonly id: string;
  /** One sentence: what it does wrong. */
  readonly title: string;
  /** Called for every connection of a run, with one source of numbers for all of them. */
  readonly wrap: (adapter: Adapter, random: Random) => Adapter;
  /** Cases that must fail, each with what its reason must contain: a finding's kind, or the words of an assertion. */
  readonly caughtBy: Readonly<Record<string, string>>;
  /** Cases that have nothing to do with it and must pass all the same. */
  readonly spares: readonly string[];
  /**
   * The part of all waiting deadlines that the cases which must fail are given, so that they do not wait for long for what
   * never comes. They must pass with it when nothing is broken. Default 0.2.
   */
  readonly patience?: number;
  /** The memory broker's variant that it works on. Default: `memory`. */
  readonly target?: MemoryVariant;
}
