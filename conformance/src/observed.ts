import { isDeepStrictEqual, inspect } from 'node:util';
import { type ErrorCode, type Log, WaybillError } from '@waybill/core';
import type { Judgement } from './finding.ts';
import { CaseSignal } from './signals.ts';

/** What a case has said about what it saw. */
export class Observed {
  readonly judgements: Judgement[] = [];
  readonly figures: Record<string, number> = {};
  readonly underClaims: string[] = [];
  /** What fails the case unless a checker names it better. */
  readonly afterwards: string[] = [];
  /** Assertions made; with what checkers examined, it must not be nothing. */
  asserted = 0;
  readonly #allowed: RegExp[] = [];
  readonly #logged: string[] = [];

  ok(condition: unknown, what: string): void {
    this.asserted += 1;
    if (!condition) throw new CaseSignal('failed', what);
  }

  equal(actual: unknown, expected: unknown, what: string): void {
    this.asserted += 1;
    if (isDeepStrictEqual(actual, expected)) return;
    throw new CaseSignal('failed', `${what}: ${short(actual)}; expected: ${short(expected)}`);
  }

  async expectError(
    promise: Promise<unknown> | (() => unknown),
    codes: ErrorCode | readonly ErrorCode[],
  ): Promise<WaybillError> {
    this.asserted += 1;
    const wanted: readonly string[] = typeof codes === 'string' ? [codes] : codes;
    let value: unknown;
    try {
      value = await (typeof promise === 'function' ? promise() : promise);
    } catch (error) {
      if (error instanceof CaseSignal) throw error;
      if (error instanceof WaybillError && wanted.includes(error.code)) return error;
      const said = error instanceof WaybillError ? `code '${error.code}' (${error.message})` : short(error);
      throw new CaseSignal('failed', `failed with ${said}; expected: a WaybillError of code ${wanted.join(' or ')}`);
    }
    throw new CaseSignal(
      'failed',
      `succeeded with ${short(value)}; expected: a WaybillError of code ${wanted.join(' or ')}`,
    );
  }

  allowLog(pattern: RegExp): void {
    this.#allowed.push(pattern);
  }

  /** Core's log. What it calls an error is one, unless the case expects it. */
  readonly log: Log = (level, message, fields) => {
    if (level === 'error') this.#logged.push(`${message} ${JSON.stringify(fields)}`);
  };

  /** Errors that core logged and the case did not expect. */
  get unexpectedLogs(): readonly string[] {
    return this.#logged.filter((line) => !this.#allowed.some((pattern) => pattern.test(line)));
  }
}

function short(value: unknown): string {
  const text = inspect(value, { depth: 4, breakLength: Number.POSITIVE_INFINITY });
  return text.length > 600 ? `${text.slice(0, 600)} …` : text;
}
