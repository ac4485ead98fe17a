import type { Cost, Harness, MissingTarget, TargetResult } from '@waybill/conformance';
import { join, resolve } from 'node:path';
import { errorText } from './error-text.ts';
import { escapeText } from './escape-text.ts';
import { type ExitCode, exitCodeOf, type Required, requiredOf } from './exit-code.ts';
import { conclude, type Io, type JsonOption } from './io.ts';
import { measure } from './measures.ts';
import { Progress } from './progress.ts';
import { makeReport } from './report.ts';
import { prepareReportFolder, writeReport } from './report-folder.ts';
import { isMissing, knownGapsOf, runTarget, selectCases } from './suite.ts';
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

/** Runs suite and measurements on several brokers and writes the report. */
export async function runCompare(options: CompareOptions, io: Io): Promise<ExitCode> {
  const names = options.brokers === undefined ? COMPARED : targetNames(options.brokers);
  const cases = selectCases({ costs: options.cost });
  const folder = resolve(io.cwd, options.out);
  await prepareReportFolder(folder);

  const progress = new Progress(io);
  const targets: (Harness | MissingTarget)[] = [];
  const results: TargetResult[] = [];
  for (const name of names) {
    const target = await targetOf(name, io);
    targets.push(target);
    try {
      const result = await runTarget(target, {
        cases,
        seed: options.seed,
        progress,
        histories: join(folder, 'history'),
      });
      const missed = (what: string, reason: unknown): void => {
        progress.end();
        io.stderr(`${name}: no figure for ${what}: ${escapeText(errorText(reason))}\n`);
      };
      const begin = (what: string): void => progress.say(`${name}: measuring ${what}`);
      results.push({ ...result, measures: isMissing(target) ? [] : await measure(target, begin, missed) });
    } finally {
      progress.end();
      if (!isMissing(target)) await closeTarget(target);
    }
  }

  const report = makeReport(results, options.seed, io.now(), VERSION);
  await writeReport(folder, report);
  await conclude(
    io,
    options.json,
    report,
    `${renderSummary(report)}report: ${escapeText(join(options.out, 'index.html'))}\n`,
  );
  return exitCodeOf(report, wanted(names, options, io), knownGapsOf(targets));
}

/** Brokers named by hand must run; of all others those that WAYBILL_REQUIRE names. */
function wanted(names: readonly string[], { brokers }: CompareOptions, io: Io): Required {
  return brokers === undefined ? requiredOf(io.env['WAYBILL_REQUIRE']) : names;
}
