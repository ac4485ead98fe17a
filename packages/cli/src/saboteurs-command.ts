import { proveSuite, SABOTEURS, type SuiteProof } from '@waybill/conformance';
import { escapeText } from './escape-text.ts';
import { type ExitCode } from './exit-code.ts';
import { conclude, type Io, type JsonOption } from './io.ts';
import { Progress } from './progress.ts';
import { columns } from './summary.ts';
import { UsageError } from './usage-error.ts';

export interface SaboteursOptions {
  /** The beginning of a saboteur's id, or of a case's that catches it. */
  readonly filter?: string;
  readonly seed: number;
  readonly json?: JsonOption;
}

/** Proves that cases can fail: adapters that each break one thing must be caught, by the right case for the right reason. */
export async function runSaboteurs({ filter, seed, json }: SaboteursOptions, io: Io): Promise<ExitCode> {
  const saboteurs = SABOTEURS.filter(
    ({ id, caughtBy }) =>
      filter === undefined || id.startsWith(filter) || Object.keys(caughtBy).some((one) => one.startsWith(filter)),
  );
  if (saboteurs.length === 0) throw new UsageError(`--filter ${filter ?? ''} selects no saboteur`);
  const progress = new Progress(io);
  try {
    const proof = await proveSuite({
      saboteurs,
      seed,
      onProgress: ({ id }, done, total) => progress.say(`${id}: ${done} of ${total} saboteurs`),
    });
    progress.end();
    // Of some saboteurs nothing can be said about the cases of the others.
    const shown = filter === undefined ? proof : { ...proof, unproved: [] };
    await conclude(io, json, shown, renderProof(shown));
    return proof.saboteurs.every(({ holds }) => holds) ? 0 : 1;
  } finally {
    progress.end();
  }
}

/** The table saboteur → catching case → finding, what did not hold, and the cases that are unproved. */
export function renderProof({ saboteurs, unproved, seed }: SuiteProof): string {
  const rows = saboteurs.flatMap(({ id, trials }) =>
    trials
      .filter(({ expected }) => expected !== null)
      .map((trial, index) => [index === 0 ? id : '', trial.holds ? '✓' : '✗', trial.case, trial.expected ?? '']),
  );
  const broken = saboteurs.flatMap(({ id, trials }) =>
    trials
      .filter(({ holds }) => !holds)
      .map(({ case: one, verdict, untouched, reason }) => {
        const said =
          untouched === null || untouched.verdict === 'passed'
            ? verdict
            : `${verdict}, ${untouched.verdict} without it`;
        return `  ✗ ${id}: ${one}: ${said}: ${reason ?? ''}`;
      }),
  );
  const lines = [
    `${saboteurs.filter(({ holds }) => holds).length} of ${saboteurs.length} saboteurs are caught, and only where they should be`,
    ...columns(rows.map((row) => row.map((cell) => escapeText(cell)))),
    ...broken.map((line) => escapeText(line)),
    ...(unproved.length === 0
      ? []
      : [`${unproved.length} cases are unproved: ${unproved.map((one) => escapeText(one)).join(', ')}`]),
  ];
  return `${lines.join('\n')}\n\nseed ${seed}\n`;
}
