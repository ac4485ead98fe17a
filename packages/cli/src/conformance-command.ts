import type { Cost } from '@waybill/conformance';
import { type ExitCode, exitCodeOf } from './exit-code.ts';
import { conclude, type Io, type JsonOption } from './io.ts';
import { Progress } from './progress.ts';
import { makeReport } from './report.ts';
import { runSaboteurs } from './saboteurs-command.ts';
import { isMissing, knownGapsOf, runTarget, selectCases } from './suite.ts';
import { renderSummary } from './summary.ts';
import { closeTarget, TARGET_NAMES, targetOf } from './targets.ts';
import { UsageError } from './usage-error.ts';
import { VERSION } from './version.ts';

export interface ConformanceOptions {
  readonly broker?: string;
  readonly saboteurs?: true;
  readonly filter?: string;
  readonly cost: readonly Cost[];
  readonly faults?: true;
  readonly scale: number;
  readonly seed: number;
  readonly json?: JsonOption;
}

/** Runs the suite on one broker and says what it saw; or proves that it can fail. */
export async function runConformance(options: ConformanceOptions, io: Io): Promise<ExitCode> {
  const { broker } = options;
  if (options.saboteurs === true) {
    if (broker !== undefined) throw new UsageError('--saboteurs runs on the memory broker; leave --broker out');
    return runSaboteurs(options, io);
  }
  if (broker === undefined) throw new UsageError(`--broker is missing; allowed: ${TARGET_NAMES.join(', ')}`);
  const { cost, faults, filter, scale } = options;
  const cases = selectCases({ costs: cost, faults: faults === true, ...(filter !== undefined && { filter }) });
  const target = await targetOf(broker, io);
  const progress = new Progress(io);
  try {
    const result = await runTarget(target, { cases, seed: options.seed, scale, progress });
    progress.end();
    const report = makeReport([result], options.seed, io.now(), VERSION);
    await conclude(io, options.json, report, renderSummary(report));
    // What was asked for by name is required, and so is nothing else of WAYBILL_REQUIRE.
    return exitCodeOf(report, [broker], { [broker]: knownGapsOf(target) });
  } finally {
    progress.end();
    if (!isMissing(target)) await closeTarget(target);
  }
}
