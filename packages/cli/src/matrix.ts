import type { CaseResult, TargetResult, Verdict } from '@waybill/conformance';

/** Every verdict with a symbol and a word: never a colour alone. */
export const VERDICTS: Readonly<Record<Verdict, { readonly symbol: string; readonly word: string }>> = {
  failed: { symbol: '✗', word: 'failed' },
  inconclusive: { symbol: '?', word: 'inconclusive' },
  'not-run': { symbol: '○', word: 'not run' },
  passed: { symbol: '✓', word: 'passed' },
  refused: { symbol: '⊘', word: 'refused' },
};

/** How many cases ended with each verdict. */
export type Counts = Readonly<Record<Verdict, number>>;

/** One guarantee on one target. */
export interface Cell {
  /** The weakest of its cases: what can be relied on. Null where no case or no manifest says. */
  readonly support: CaseResult['support'] | null;
  /** Null where no case proves it. `passed` only when nothing is failed, inconclusive or not run. */
  readonly verdict: Verdict | null;
  readonly counts: Counts;
  readonly cases: readonly CaseResult[];
}

/** From the worst; a cell is what its worst case is, but one refused case leaves what others have proved. */
const worstFirst: readonly Verdict[] = ['failed', 'inconclusive', 'not-run', 'passed', 'refused'];
const weakestFirst = ['refused', 'emulated', 'native'] as const;

export function cellOf(target: TargetResult, guarantee: string): Cell {
  const cases = target.cases.filter((one) => one.guarantees.some((id) => id === guarantee));
  const kept = cases.filter((one) => one.support !== 'refused');
  const judged = kept.length > 0 ? kept : cases;
  return {
    // Where nothing is declared, nobody is known to keep it.
    support:
      target.supports === null
        ? null
        : (weakestFirst.find((support) => judged.some((one) => one.support === support)) ?? null),
    verdict: worstFirst.find((verdict) => cases.some((one) => one.verdict === verdict)) ?? null,
    counts: countsOf(cases),
    cases,
  };
}

export function countsOf(cases: readonly CaseResult[]): Counts {
  const counts: Record<Verdict, number> = { failed: 0, inconclusive: 0, 'not-run': 0, passed: 0, refused: 0 };
  for (const one of cases) counts[one.verdict]++;
  return counts;
}

/** `✗ 1 failed, ✓ 12 passed`: the verdicts that occur, worst first. */
export function countsText(counts: Counts): string {
  const parts = worstFirst.filter((verdict) => counts[verdict] > 0);
  if (parts.length === 0) return '– no case';
  return parts.map((verdict) => `${VERDICTS[verdict].symbol} ${counts[verdict]} ${VERDICTS[verdict].word}`).join(', ');
}

/** The groups of guarantees: first letter to name. */
export const GROUPS: readonly (readonly [letter: string, name: string])[] = [
  ['P', 'Publish'],
  ['D', 'Deliver'],
  ['O', 'Order'],
  ['R', 'Settle, retry, dead letters'],
  ['F', 'Flow'],
  ['L', 'Life'],
  ['E', 'Deduplication'],
  ['T', 'Transactions'],
];

/** The group a case is shown in: that of the first guarantee it proves. */
export function groupOf(one: CaseResult): string {
  return (one.guarantees[0] ?? one.id).slice(0, 1);
}

/** `redis (address, real broker, version 7.4.1)`. */
export function targetText({ name, how, kind, version }: TargetResult): string {
  if (how === 'none') return `${name} (not run)`;
  const what = { real: 'real broker', emulator: 'emulator', double: 'in-process double' }[kind];
  return `${name} (${how}, ${what}${version === null ? '' : `, version ${version}`})`;
}

/** `native: ✓ 3 passed`. */
export function cellText({ support, verdict, counts }: Cell): string {
  if (verdict === null) return 'no case';
  return support === null ? countsText(counts) : `${support}: ${countsText(counts)}`;
}
