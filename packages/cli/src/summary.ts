import type { CaseResult, TargetResult } from '@waybill/conformance';
import { escapeText } from './escape-text.ts';
import { type Counts, countsOf, countsText, groupOf, GROUPS, targetText, VERDICTS } from './matrix.ts';
import { figure } from './report-markdown.ts';
import type { Report } from './report-types.ts';

/** What a run says at its end, on a terminal or in a log: per target its groups, its figures, and what is not green. */
export function renderSummary(report: Report): string {
  return `${report.targets.map(targetSummary).join('\n\n')}\n\nseed ${report.seed}\n`;
}

function targetSummary(target: TargetResult): string {
  const title = escapeText(targetText(target));
  if (target.how === 'none')
    return `${title}\n  ${VERDICTS['not-run'].symbol} ${escapeText(target.reason ?? 'no broker')}`;
  const groups = GROUPS.map(([letter, name]): [string, Counts] => [
    name,
    countsOf(target.cases.filter((one) => groupOf(one) === letter)),
  ]);
  const shown = groups.filter(([, counts]) => Object.values(counts).some((count) => count > 0));
  const rows = [...shown, ['All', countsOf(target.cases)] as const].map(([name, counts]) => [name, countsText(counts)]);
  return [title, ...columns(rows), ...figures(target), ...notGreen(target)].join('\n');
}

function figures({ measures }: TargetResult): string[] {
  if (measures.length === 0) return [];
  const rows = measures.map(({ id, value, unit, low, high, ratio, against }) => [
    escapeText(id),
    `${figure(value)} ${escapeText(unit)}`,
    `(${figure(low)} to ${figure(high)})`,
    ratio === null || against === null ? '' : `${figure(ratio)} × ${escapeText(against)}`,
  ]);
  return ['  Figures', ...columns(rows)];
}

/** Failed and inconclusive ones each with its reason; those that did not run by reason, since reasons repeat. */
function notGreen({ cases }: TargetResult): string[] {
  const each = cases.filter((one) => one.verdict === 'failed' || one.verdict === 'inconclusive');
  const lines = each.map((one) => {
    const { symbol, word } = VERDICTS[one.verdict];
    return `  ${symbol} ${word}: ${escapeText(one.id)}: ${escapeText(one.reason ?? 'no reason given')} (seed ${one.seed})`;
  });
  const byReason = new Map<string, CaseResult[]>();
  for (const one of cases.filter((found) => found.verdict === 'not-run')) {
    const reason = one.reason ?? 'no reason given';
    byReason.set(reason, [...(byReason.get(reason) ?? []), one]);
  }
  for (const [reason, group] of byReason) {
    const ids = group.slice(0, 6).map((one) => escapeText(one.id));
    const more = group.length > ids.length ? ` and ${group.length - ids.length} more` : '';
    lines.push(`  ${VERDICTS['not-run'].symbol} not run: ${escapeText(reason)}: ${ids.join(', ')}${more}`);
  }
  return lines;
}

const segmenter = new Intl.Segmenter('en');

/** Lines with every column as wide as its widest cell; the last is left as it is. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))));
  return rows.map((row) => `    ${row.map((cell, column) => pad(cell, widths[column] ?? 0)).join('  ')}`.trimEnd());
}

function pad(cell: string, columnWidth: number): string {
  return cell + ' '.repeat(Math.max(0, columnWidth - width(cell)));
}

/** Signs, as a person counts them. */
function width(text: string): number {
  return Array.from(segmenter.segment(text)).length;
}
