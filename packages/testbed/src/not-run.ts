import type { Environment } from './program.ts';

/** A place to get a broker from: an address in the environment, a container, a process on this machine. */
export type Way = 'address' | 'container' | 'process';

export const WAYS: readonly Way[] = ['address', 'container', 'process'];

/** A way that did not work. */
export interface Tried {
  readonly way: Way;
  readonly reason: string;
}

/** There is no such broker to be had here. An answer, not an error: tests say `not-run` with it. */
export interface NotRun {
  readonly broker: string;
  /** Why, in one line. */
  readonly reason: string;
  /** What to do about it, in one line. */
  readonly remedy: string;
  readonly tried: readonly Tried[];
}

export function isNotRun(answer: object): answer is NotRun {
  return 'remedy' in answer;
}

/** Reason and remedy, for a skipped test. */
export function describeNotRun({ broker, reason, remedy }: NotRun): string {
  return `no ${broker}: ${reason}; ${remedy}`;
}

/** Whether `WAYBILL_REQUIRE` (`all`, or names with commas) makes it a failure that this broker does not run. */
export function isRequired(broker: string, env: Environment = process.env): boolean {
  const names = (env['WAYBILL_REQUIRE'] ?? '').split(',').map((name) => name.trim());
  return names.includes('all') || names.includes(broker);
}

/** `WAYBILL_REDIS_URL` and the like. */
export function variable(broker: string, what: 'URL' | 'IMAGE' | 'PROGRAM'): string {
  return `WAYBILL_${broker.toUpperCase().replaceAll('-', '_')}_${what}`;
}
