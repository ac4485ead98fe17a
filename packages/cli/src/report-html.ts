import type { CaseResult, TargetResult } from '@waybill/conformance';
import { createHash } from 'node:crypto';
import { FAULTS, GUARANTEES } from '@waybill/conformance';
import { jsonForScript } from './escape-html.ts';
import { cellOf, cellText, countsOf, countsText, GROUPS, targetText, VERDICTS } from './matrix.ts';
import { figure } from './report-markdown.ts';
import { PAGE_SCRIPT, PAGE_STYLE } from './report-page.ts';
import type { Report } from './report-types.ts';

/**
 * `index.html`: one file that opens offline. Everything foreign is JSON in a block that does not run, put in place
 * through `textContent`; the policy lets run and style only what has the hashes of our own script and style.
 */
export function renderHtml(report: Report): string {
  const policy = [
    `default-src 'none'`,
    `script-src '${hashOf(PAGE_SCRIPT)}'`,
    `style-src '${hashOf(PAGE_STYLE)}'`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `require-trusted-types-for 'script'`,
  ].join('; ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Waybill: broker comparison</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<noscript>This page shows its data by a script of its own. The same is in report.md and report.json.</noscript>
<main id="page"></main>
<script type="application/json" id="data">${jsonForScript(pageData(report))}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

function hashOf(source: string): string {
  return `sha256-${createHash('sha256').update(source).digest('base64')}`;
}

/** What the page shows, ready to be put in place: its script decides nothing. */
function pageData(report: Report): unknown {
  const { targets } = report;
  return {
    title: 'Broker comparison',
    about: `${report.created}, Waybill ${report.waybill}, seed ${report.seed}, ${report.machine}`,
    targets: targets.map((target) => ({
      name: target.name,
      text: targetText(target),
      counts: target.reason ?? countsText(countsOf(target.cases)),
      facts: Object.entries(target.facts).map(([name, value]) => [name, String(value)]),
      supports: target.supports === null ? '' : JSON.stringify(target.supports, null, 2),
      lacks: lacks(target),
      measures: target.measures.map(({ id, unit, value, low, high, ratio, against }) => [
        id,
        `${figure(value)} ${unit}`,
        `${figure(low)} to ${figure(high)}`,
        ratio === null || against === null ? '' : `${figure(ratio)} × ${against}`,
      ]),
    })),
    groups: GROUPS.map(([letter, name]) => ({
      name,
      rows: Object.entries(GUARANTEES)
        .filter(([id]) => id.startsWith(letter))
        .map(([id, title]) => ({
          id,
          title,
          cells: targets.map((target) => {
            const cell = cellOf(target, id);
            const { verdict, cases } = cell;
            return {
              verdict: verdict ?? 'none',
              text: cellText(cell),
              cases: cases.map(caseData),
            };
          }),
        })),
    })),
  };
}

/** What this target's run could not show. */
function lacks({ abilities, unexercised, unproved }: TargetResult): string[] {
  const faults = FAULTS.filter((fault) => !abilities.includes(fault));
  const texts = [];
  if (faults.length > 0) texts.push(`Faults that were not injected: ${faults.join(', ')}.`);
  if (unexercised.length > 0) texts.push(`Guarantees that no case of this run exercised: ${unexercised.join(', ')}.`);
  if (unproved.length > 0) texts.push(`Unproved, since no saboteur is known to fail them: ${unproved.join(', ')}.`);
  return texts;
}

/** A link to a file beside the page, if its name is one: the report may have been made by others. */
function historyLink({ history }: CaseResult): string | null {
  return history !== null && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(history) ? `history/${history}` : null;
}

function caseData(one: CaseResult): unknown {
  const { symbol, word } = VERDICTS[one.verdict];
  return {
    id: one.id,
    verdict: one.verdict,
    text: `${symbol} ${word}`,
    support: one.support,
    title: one.title,
    reason: one.reason ?? '',
    took: `${Math.round(one.ms).toLocaleString('en-US')} ms, seed ${one.seed}`,
    notes: [...one.observations, ...one.reruns.map((rerun) => `run again: ${rerun}`)],
    evidence: Object.entries(one.evidence).map(([name, value]) => [name, figure(value)]),
    slice: one.slice ?? '',
    history: historyLink(one),
  };
}
