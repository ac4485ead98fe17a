import type { Cost } from '@waybill/conformance';
import { type ExitCode, exitCodeOf } from './exit-code.ts';
import { conclude, type Io, type JsonOption } from './io.ts';
import { Progress } from './progress.ts';
import { makeReport } from './report.ts';
import { isMissing, knownGapsOf, runTarget, selectCases } from './suite.ts';
import { renderSummary } from './summary.ts';
import { targetOf } from './targets.ts';
import { VERSION } from './version.ts';

export interface ConformanceOptions {
  readonly broker: string;
  readonly filter?: string;
  readonly cost: readonly Cost[];
  readonly seed: number;
  readonly json?: JsonOption;
}

/** Runs the suite on one broker and says what it saw. */
export async function runConformance(options: ConformanceOptions, io: Io): Promise<ExitCode> {
  const cases = selectCases({ costs: options.cost, ...(options.filter !== undefined && { filter: options.filter }) });
  const target = await targetOf(options.broker, io);
  const progress = new Progress(io);
  try {
    const result = await runTarget(target, { cases, seed: options.seed, progress });
    progress.end();
    const report = makeReport([result], options.seed, io.now(), VERSION);
    await conclude(io, options.json, report, renderSummary(report));
    // What was asked for by name is required, and so is nothing else of WAYBILL_REQUIRE.
    return exitCodeOf(report, [options.broker], knownGapsOf([target]));
  } finally {
    progress.end();
    if (!isMissing(target)) await target.close();
  }
}
