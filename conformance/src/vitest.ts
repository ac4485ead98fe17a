/**
 * The suite as Vitest tests.
 *
 * @example
 * // test/conformance.test.ts of an adapter
 * conformance('redis', () => redisHarness());
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import type { ConformanceCase, Cost } from './case.ts';
import { CASES } from './cases/index.ts';
import { Random } from './random.ts';
import type { CaseResult } from './result.ts';
import { alone, newSeed, startSuite, strikesConnections, type Suite } from './runner.ts';
import type { Harness, MissingTarget } from './target.ts';
import { timeFactor } from './waiting.ts';

export interface VitestOptions {
  /** Default: quick, slow and a part of `fault` chosen by the seed; with WAYBILL_SUITE=full all. */
  readonly cost?: readonly Cost[];
  readonly cases?: readonly ConformanceCase[];
  readonly filter?: (one: ConformanceCase) => boolean;
  /** Whether an inconclusive case that is no known gap fails. Default: where the broker lives in this process. */
  readonly strict?: boolean;
  /**
   * Whether a case that injects faults gets a broker of its own, so that all run side by side, for brokers that cost
   * nothing; or `connections` of its own, for harnesses with `apart`: then only those that strike the broker itself, or take
   * minutes, run alone. Default false.
   */
  readonly separate?: boolean | 'connections';
  /** Of ten fault cases, how many a plain `npm test` runs. Default 5 where `separate` is true, else 3. */
  readonly faults?: number;
}

/** Of ten fault cases, how many a plain `npm test` runs. */
const faultsOfTen = { embedded: 5, real: 3 }; // a real broker takes seconds to come back
const hangs = 1_800_000;

/**
 * Makes a Vitest test of every case. What was not run, refused or inconclusive is skipped with its reason, never green.
 */
export function conformance(
  name: string,
  makeHarness: () => Harness | MissingTarget | Promise<Harness | MissingTarget>,
  options: VitestOptions = {},
): void {
  const seed = Number(process.env['WAYBILL_SEED'] ?? newSeed());
  const cases = (options.cases ?? CASES).filter((one) => options.filter?.(one) ?? true);
  const factor = timeFactor();
  const { separate = false } = options;
  const { faults = separate === true ? faultsOfTen.embedded : faultsOfTen.real } = options;

  describe(`${name} (seed ${seed})`, () => {
    let target: Harness | MissingTarget | null = null;
    let suite: Suite | null = null;

    beforeAll(async () => {
      target = await makeHarness();
      if (!('missing' in target)) suite = startSuite(target, seed);
    });

    afterAll(async () => {
      suite?.end();
      if (target !== null && !('missing' in target)) await target.close();
    });

    const run =
      (one: ConformanceCase) =>
      async (context: TestContext): Promise<void> => {
        const left = leftOut(one, seed, options.cost, faults);
        if (left !== null) return context.skip(left);
        if (target !== null && 'missing' in target) {
          if (target.required) throw new Error(`${target.name} is required: ${target.missing}`);
          return context.skip(`not-run: ${target.missing}`);
        }
        if (suite === null) throw new Error('the harness was not made');
        const embedded = target?.how === 'embedded';
        const result =
          alone(one) && separate === true ? await runSeparately(one, makeHarness, seed) : await suite.run(one);
        report(result, context, {
          strict: options.strict ?? embedded,
          known: target?.knownGaps?.[one.id] !== undefined,
        });
      };
    const waits = (one: ConformanceCase): boolean =>
      alone(one) && separate !== true && !(separate === 'connections' && strikesConnections(one));
    for (const one of cases.toSorted((a, b) => Number(waits(a)) - Number(waits(b)))) {
      // The case has a deadline of its own, by what the target supports; this one only ends a harness that hangs.
      const timeout = hangs * factor;
      if (waits(one)) test.sequential(nameOf(one), { timeout }, run(one));
      else test.concurrent(nameOf(one), { timeout }, run(one));
    }

    test('every case has a different id', () => {
      expect(new Set(cases.map((one) => one.id)).size).toBe(cases.length);
    });
  });
}

async function runSeparately(
  one: ConformanceCase,
  makeHarness: () => Harness | MissingTarget | Promise<Harness | MissingTarget>,
  seed: number,
): Promise<CaseResult> {
  const target = await makeHarness();
  if ('missing' in target) throw new Error(`${target.name} was there, and is no longer: ${target.missing}`);
  const suite = startSuite(target, seed);
  try {
    return await suite.run(one);
  } finally {
    suite.end();
    await target.close();
  }
}

function nameOf(one: ConformanceCase): string {
  return `${one.id}: ${one.title}`;
}

function leftOut(one: ConformanceCase, seed: number, cost: readonly Cost[] | undefined, ofTen: number): string | null {
  if (cost !== undefined)
    return cost.includes(one.cost) ? null : `not-run: this run leaves out cases of cost '${one.cost}'`;
  if (process.env['WAYBILL_SUITE'] === 'full' || one.cost === 'quick' || one.cost === 'slow') return null;
  if (one.cost === 'long') return 'not-run: long; npm run test:full runs it';
  let hash = seed;
  for (const letter of one.id) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0;
  return new Random(hash).int(1, 10) <= ofTen
    ? null
    : `not-run: not in the part of seed ${seed}; npm run test:full runs it`;
}

function report(result: CaseResult, context: TestContext, how: { strict: boolean; known: boolean }): void {
  const text = `${result.verdict}: ${result.reason ?? ''}`;
  for (const observation of result.observations) void context.annotate(observation, 'observation');
  for (const rerun of result.reruns) {
    void context.annotate(rerun, 'run again');
    console.warn(`${result.id} was run again: ${rerun}`);
  }
  if (result.verdict === 'passed') return;
  if (result.verdict === 'failed' || (result.verdict === 'inconclusive' && how.strict && !how.known))
    throw new Error(`${text}\n${result.slice ?? ''}\n(seed ${result.seed})`);
  context.skip(text);
}
