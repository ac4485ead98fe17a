import type { Measure, TargetResult } from '@waybill/conformance';
import { arch, availableParallelism, platform, totalmem } from 'node:os';
import type { Report } from './report-types.ts';
import { scrub } from './scrub.ts';

/** What makes a folder ours: its `report.json` begins like this. */
export const REPORT_FORMAT = 1;

/** The report of one run. It holds no environment, host name, path or user name. */
export function makeReport(targets: readonly TargetResult[], seed: number, created: Date, waybill: string): Report {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  return {
    format: REPORT_FORMAT,
    created: created.toISOString(),
    waybill,
    seed,
    machine: `${platform()} ${arch()}, ${availableParallelism()} CPUs, ${gibibytes} GiB, Node.js ${process.versions.node}`,
    targets: targets.map((target) => scrub({ ...target, measures: compared(target, targets) })),
  };
}

/** Gives each figure its ratio to the memory broker's, where it has no other yardstick. */
function compared(target: TargetResult, targets: readonly TargetResult[]): Measure[] {
  const yardstick = targets.find((one) => one.name === 'memory');
  return target.measures.map((measure) => {
    if (measure.against !== null || yardstick === undefined || yardstick === target) return measure;
    const base = yardstick.measures.find((one) => one.id === measure.id)?.value ?? 0;
    return base === 0 ? measure : { ...measure, ratio: measure.value / base, against: yardstick.name };
  });
}
