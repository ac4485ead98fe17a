import type { Cost, Measure, TargetResult } from '@waybill/conformance';
import { join, resolve } from 'node:path';
import { errorText } from './error-text.ts';
import { escapeText } from './escape-text.ts';
import { type ExitCode, exitCodeOf, type KnownGaps, type Required, requiredOf } from './exit-code.ts';
import { conclude, type Io, type JsonOption } from './io.ts';
import { measure } from './measures.ts';
import { Progress } from './progress.ts';
import { makeReport } from './report.ts';
import { prepareReportFolder, writeReport } from './report-folder.ts';
import { isMissing, knownGapsOf, type RunOptions, runTarget, selectCases } from './suite.ts';
import { renderSummary } from './summary.ts';
import { closeTarget, COMPARED, targetNames, targetOf } from './targets.ts';
import { VERSION } from './version.ts';

export interface CompareOptions {
  /** Names with commas; default: memory and every real broker. */
  readonly brokers?: string;
  readonly out: string;
  readonly cost: readonly Cost[];
  readonly seed: number;
  readonly json?: JsonOption;
}

/** Suites at once: what they do is mostly to wait for their brokers. */
const SIDE_BY_SIDE = 3;

/** Runs suite and measurements on several brokers and writes the report. */
export async function runCompare(options: CompareOptions, io: Io): Promise<ExitCode> {
  const names = options.brokers === undefined ? COMPARED : targetNames(options.brokers);
  const cases = selectCases({ costs: options.cost });
  const folder = resolve(io.cwd, options.out);
  await prepareReportFolder(folder);

  const progress = new Progress(io);
  const suites = new Map<string, Suite>();
  const queue = names.toReversed(); // SQS FIFO takes longest, memory least
  const workers = Array.from({ length: SIDE_BY_SIDE }, async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const histories = join(folder, 'history');
      suites.set(name, await runSuiteOn(name, { cases, seed: options.seed, progress, histories }, io));
    }
  });
  const failed = (await Promise.allSettled(workers)).find((worker) => worker.status === 'rejected');
  progress.end();
  if (failed !== undefined) throw failed.reason;
  const results: TargetResult[] = [];
  const gaps: Record<string, Suite['known']> = {};
  for (const name of names) {
    const { result, known } = suites.get(name) as Suite;
    gaps[name] = known;
    results.push({ ...result, measures: result.how === 'none' ? [] : await measureOn(name, progress, io) });
  }

  const report = makeReport(results, options.seed, io.now(), VERSION);
  await writeReport(folder, report);
  await conclude(
    io,
    options.json,
    report,
    `${renderSummary(report)}report: ${escapeText(join(options.out, 'index.html'))}\n`,
  );
  return exitCodeOf(report, wanted(names, options, io), gaps);
}

interface Suite {
  readonly result: TargetResult;
  readonly known: KnownGaps[string];
}

async function runSuiteOn(name: string, options: RunOptions, io: Io): Promise<Suite> {
  const target = await targetOf(name, io);
  try {
    return { result: await runTarget(target, options), known: knownGapsOf(target) };
  } finally {
    if (!isMissing(target)) await closeTarget(target);
  }
}

/** With the machine for itself, and a broker that nobody has used yet. */
async function measureOn(name: string, progress: Progress, io: Io): Promise<readonly Measure[]> {
  const missed = (what: string, reason: unknown): void => {
    progress.end();
    io.stderr(`${name}: no figure for ${what}: ${escapeText(errorText(reason))}\n`);
  };
  const target = await targetOf(name, io);
  if (isMissing(target)) {
    missed('any measure', target.missing);
    return [];
  }
  try {
    return await measure(target, (what) => progress.say(`${name}: measuring ${what}`), missed);
  } finally {
    progress.end();
    await closeTarget(target);
  }
}

/** Brokers named by hand must run; of all others those that WAYBILL_REQUIRE names. */
function wanted(names: readonly string[], { brokers }: CompareOptions, io: Io): Required {
  return brokers === undefined ? requiredOf(io.env['WAYBILL_REQUIRE']) : names;
}
