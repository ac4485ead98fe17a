/*
 * Script and style of the report's page. The script is plain and small on purpose: it sets nothing but `textContent`,
 * class names from our own fixed words, and links to `history/`.
 */

export const PAGE_SCRIPT = `
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const page = document.getElementById('page');

function element(parent, tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className !== undefined) made.className = className;
  parent.append(made);
  return made;
}

function pairs(parent, rows) {
  const table = element(parent, 'table', undefined, 'pairs');
  for (const row of rows) {
    const line = element(table, 'tr');
    row.forEach((text, index) => element(line, index === 0 ? 'th' : 'td', text));
  }
}

function fold(parent, title) {
  const details = element(parent, 'details');
  element(details, 'summary', title);
  return details;
}

function showCase(parent, one) {
  const box = element(parent, 'section', undefined, 'case ' + one.verdict);
  element(box, 'h3', one.id);
  element(box, 'p', one.text + ' · ' + one.support + ' · ' + one.took);
  element(box, 'p', one.title);
  if (one.reason !== '') element(box, 'p', one.reason, 'reason');
  for (const note of one.notes) element(box, 'p', note, 'reason');
  if (one.evidence.length > 0) pairs(box, one.evidence);
  if (one.slice !== '') element(fold(box, 'The part of the history that shows it'), 'pre', one.slice);
  if (one.history !== null) element(box, 'a', 'History').setAttribute('href', one.history);
}

const dialog = document.createElement('dialog');
function open(title, cases) {
  dialog.replaceChildren();
  const form = element(dialog, 'form');
  form.method = 'dialog';
  element(form, 'button', 'Close');
  element(dialog, 'h2', title);
  if (cases.length === 0) element(dialog, 'p', 'No case of the suite proves this here.');
  for (const one of cases) showCase(dialog, one);
  dialog.showModal();
}

element(page, 'h1', data.title);
element(page, 'p', data.about);

const matrix = element(page, 'table', undefined, 'matrix');
const head = element(element(matrix, 'thead'), 'tr');
element(head, 'th', 'Guarantee').scope = 'col';
for (const target of data.targets) {
  const cell = element(head, 'th', target.name);
  cell.scope = 'col';
  cell.title = target.text;
}
for (const group of data.groups) {
  const body = element(matrix, 'tbody');
  const title = element(element(body, 'tr'), 'th', group.name, 'group');
  title.colSpan = data.targets.length + 1;
  title.scope = 'rowgroup';
  for (const row of group.rows) {
    const line = element(body, 'tr');
    element(line, 'th', row.id + ' ' + row.title).scope = 'row';
    row.cells.forEach((cell, index) => {
      const button = element(element(line, 'td'), 'button', cell.text, 'cell ' + cell.verdict);
      button.type = 'button';
      button.addEventListener('click', () => open(row.id + ' ' + row.title + ' · ' + data.targets[index].name, cell.cases));
    });
  }
}

for (const target of data.targets) {
  const box = element(page, 'section');
  element(box, 'h2', target.text);
  element(box, 'p', target.counts);
  for (const text of target.lacks) element(box, 'p', text);
  if (target.measures.length > 0) pairs(box, target.measures);
  if (target.facts.length > 0) pairs(fold(box, 'Observed of the broker'), target.facts);
  if (target.supports !== '') element(fold(box, 'Declared by the adapter'), 'pre', target.supports);
}
page.append(dialog);
`;

export const PAGE_STYLE = `
:root { color-scheme: light dark; --line: #8884; --green: #1a7f37; --red: #cf222e; --yellow: #9a6700; --grey: #6e7781; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 500; }
thead th { position: sticky; top: 0; background: Canvas; }
th.group { padding-top: 1.2rem; font-weight: 700; }
.pairs { margin: .4rem 0; font-size: .9em; }
.pairs td { overflow-wrap: anywhere; }
button.cell { font: inherit; text-align: left; background: none; border: 0; border-left: .3rem solid var(--grey); padding: 0 .4rem; cursor: pointer; }
button.cell:focus-visible { outline: 2px solid; }
.passed { border-color: var(--green) !important; }
.failed { border-color: var(--red) !important; font-weight: 600; }
.inconclusive { border-color: var(--yellow) !important; }
.case { border-left: .3rem solid var(--grey); padding-left: .8rem; margin: 1rem 0; }
.case h3 { margin: 0; font-family: ui-monospace, monospace; }
.reason, pre { overflow-wrap: anywhere; white-space: pre-wrap; }
dialog { max-width: 60rem; width: 90vw; max-height: 85vh; }
dialog form { float: right; }
`;
