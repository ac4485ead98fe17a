import type { CaseResult, TargetResult } from '@waybill/conformance';
import { GUARANTEES } from '@waybill/conformance';
import { escapeMarkdown as text } from './escape-markdown.ts';
import { cellOf, cellText, countsOf, countsText, targetText, VERDICTS } from './matrix.ts';
import type { Report } from './report-types.ts';

/** `report.md`: the matrix, figures, and everything that is not green with its reason. */
export function renderMarkdown(report: Report): string {
  const { targets } = report;
  const sections = [
    '# Waybill: broker comparison',
    `${text(report.created)}, Waybill ${text(report.waybill)}, seed ${report.seed}, ${text(report.machine)}`,
    table(
      ['Target', 'Cases'],
      targets.map((target) => [
        text(targetText(target)),
        target.reason === null ? countsText(countsOf(target.cases)) : text(target.reason),
      ]),
    ),
    '## Guarantees',
    'Who keeps it (native: the broker; emulated: Waybill; refused: nobody, and asking for it is an error) and what the suite saw.',
    table(
      ['Guarantee', ...targets.map((target) => text(target.name))],
      Object.entries(GUARANTEES).map(([id, title]) => [
        `${id} ${text(title)}`,
        ...targets.map((target) => cellText(cellOf(target, id))),
      ]),
    ),
    '## Figures',
    figures(targets),
    '## Not green',
    ...targets.map(notGreen).filter((section) => section !== ''),
    '## Unproved',
    unproved(targets),
  ];
  return `${sections.join('\n\n')}\n`;
}

function figures(targets: readonly TargetResult[]): string {
  const rows = targets.flatMap((target) =>
    target.measures.map(({ id, unit, value, low, high, ratio, against }) => [
      text(target.name),
      text(id),
      `${figure(value)} ${text(unit)}`,
      `${figure(low)} to ${figure(high)}`,
      ratio === null || against === null ? '–' : `${figure(ratio)} × ${text(against)}`,
    ]),
  );
  return rows.length === 0 ? 'None were taken.' : table(['Target', 'Figure', 'Value', 'Spread', 'Compared'], rows);
}

function notGreen(target: TargetResult): string {
  const cases = target.cases.filter((one) => ['failed', 'inconclusive', 'not-run'].includes(one.verdict));
  if (cases.length === 0) return '';
  return `### ${text(target.name)}\n\n${table(['Case', 'Verdict', 'Reason', 'Seed'], cases.map(caseRow))}`;
}

/** Cases that have never been seen to fail: no saboteur is caught by them. */
function unproved(targets: readonly TargetResult[]): string {
  const ids = [...new Set(targets.flatMap((target) => target.unproved))];
  return ids.length === 0 ? 'None: each case is known to fail under a saboteur.' : ids.map(text).join(', ');
}

function caseRow(one: CaseResult): string[] {
  const { symbol, word } = VERDICTS[one.verdict];
  return [text(one.id), `${symbol} ${word}`, text(one.reason ?? ''), String(one.seed)];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Three digits that matter. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
