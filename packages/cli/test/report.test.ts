import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cellOf, countsText } from '../src/matrix.ts';
import { makeReport } from '../src/report.ts';
import { prepareReportFolder, writeReport } from '../src/report-folder.ts';
import { renderHtml } from '../src/report-html.ts';
import { renderMarkdown } from '../src/report-markdown.ts';
import { renderSummary } from '../src/summary.ts';
import { HOSTILE, sampleCase, sampleReport, sampleTarget } from './sample.ts';

const memory = sampleTarget(
  'memory',
  [
    sampleCase('P1.stored'),
    sampleCase('P1.killed', { verdict: 'not-run', reason: 'no way to kill the broker' }),
    sampleCase('O1.order', { support: 'emulated' }),
    sampleCase('D8.replay', { support: 'refused', verdict: 'refused', reason: 'as declared' }),
  ],
  { supports: {} as never },
);
const hostile = sampleTarget(
  HOSTILE,
  [
    sampleCase('R5.x', {
      verdict: 'failed',
      reason: HOSTILE,
      evidence: { [HOSTILE]: 1, lost: 3 },
      observations: [HOSTILE],
      slice: HOSTILE,
      history: '../../etc/passwd',
    }),
  ],
  { how: 'address', kind: 'real', version: HOSTILE, facts: { [HOSTILE]: HOSTILE } },
);

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

describe('the matrix', () => {
  test.each([
    ['P1', { support: 'native', verdict: 'not-run' }, '○ 1 not run, ✓ 1 passed'],
    ['O1', { support: 'emulated', verdict: 'passed' }, '✓ 1 passed'],
    ['D8', { support: 'refused', verdict: 'refused' }, '⊘ 1 refused'],
    ['E2', { support: null, verdict: null }, '– no case'],
  ])('%s', (id, expected, text) => {
    const cell = cellOf(memory, id);
    expect(cell).toMatchObject(expected);
    expect(countsText(cell.counts)).toBe(text);
  });
});

describe('the report', () => {
  test('ratios are to the memory broker where there is no other yardstick', () => {
    const figure = { id: 'throughput', unit: 'messages/s', value: 100, low: 90, high: 110, ratio: null, against: null };
    const own = { ...figure, id: 'in-flight-max', ratio: 1, against: 'prefetch' };
    const targets = [
      { ...memory, measures: [{ ...figure, value: 400 }, own] },
      sampleTarget('redis', [], { measures: [figure, own] }),
    ];
    const report = makeReport(targets, 7, new Date(0), '0.1.0');
    expect(report.targets[1]?.measures).toEqual([{ ...figure, ratio: 0.25, against: 'memory' }, own]);
    expect(report.targets[0]?.measures[0]?.ratio).toBeNull();
  });

  test('tells nothing of who made it and where', () => {
    const text = JSON.stringify(makeReport([memory], 7, new Date(0), '0.1.0'));
    expect(text).not.toContain(process.cwd());
    if (hostname().length > 3) expect(text).not.toContain(hostname());
    if (userInfo().username.length > 4) expect(text).not.toContain(userInfo().username);
  });
});

describe('index.html', () => {
  const html = renderHtml(sampleReport(memory, hostile));
  const blocks = [...html.matchAll(/<script(?<attributes>[^>]*)>(?<body>[\s\S]*?)<\/script>/g)].map(
    (match) => match.groups,
  );

  test('has two scripts, data and ours, whatever the data holds', () => {
    expect(blocks.map((block) => block?.['attributes'])).toEqual([' type="application/json" id="data"', '']);
    expect(JSON.parse(blocks[0]?.['body'] ?? '')).toMatchObject({ targets: [{ name: 'memory' }, { name: HOSTILE }] });
    expect(html).not.toContain('<img');
  });

  test('allows nothing but script and style of its own, by hash', () => {
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? '';
    const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? '';
    expect(policy).toBe(
      `default-src 'none'; script-src ${hash(blocks[1]?.['body'] ?? '')}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'`,
    );
  });

  test('loads nothing, and its script sets text only', () => {
    expect(html).not.toMatch(/\b(?:src|href)="(?:https?:)?\/\//);
    expect(blocks[1]?.['body']).not.toMatch(
      /innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|\.on[a-z]+ *=/,
    );
    expect(() => new Script(blocks[1]?.['body'] ?? '')).not.toThrow();
  });
});

test('only a plain file name becomes a link', () => {
  const linked = sampleTarget('memory', [
    sampleCase('P1.a', { history: 'memory--P1.a.jsonl' }),
    sampleCase('P1.b', { history: 'javascript:alert(1)' }),
  ]);
  const html = renderHtml(sampleReport(linked, hostile));
  expect(html).toContain('"history":"history/memory--P1.a.jsonl"');
  expect(html).not.toMatch(/"history":"(?!history\/memory--P1\.a\.jsonl)/);
});

describe('report.md', () => {
  const markdown = renderMarkdown(sampleReport(memory, hostile));

  test('every table keeps its shape', () => {
    for (const table of markdown.split('\n\n').filter((part) => part.startsWith('|'))) {
      const widths = table
        .trimEnd()
        .split('\n')
        .map((line) => line.replaceAll(/\\./g, '').split('|').length);
      expect(new Set(widths).size).toBe(1);
    }
    expect(markdown).not.toMatch(/<script|<img/);
  });

  test('lists what is not green with its reason', () => {
    expect(markdown).toContain('○ not run | no way to kill the broker | 7');
    expect(markdown).toMatch(/✗ failed/);
  });
});

describe('the summary', () => {
  test('counts by group, with symbols and words, and gives every reason', () => {
    const text = renderSummary(
      sampleReport(memory, sampleTarget('redis', [], { how: 'none', reason: 'WAYBILL_REDIS_URL is not set; set it' })),
    );
    expect(text).toMatch(/Publish +○ 1 not run, ✓ 1 passed/);
    expect(text).toMatch(/All +○ 1 not run, ✓ 2 passed, ⊘ 1 refused/);
    expect(text).toContain('no way to kill the broker: P1.killed');
    expect(text).toContain('redis (not run)\n  ○ WAYBILL_REDIS_URL is not set; set it');
  });

  test('holds no control character but line breaks', () => {
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(renderSummary(sampleReport(hostile))).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e\u2028]/);
  });
});

describe('the folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'waybill-report-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test('is made, written, and used again', async () => {
    const out = join(folder, 'deep', 'report');
    await prepareReportFolder(out);
    await writeFile(join(out, 'history', 'old.jsonl'), '');
    await writeReport(out, sampleReport(memory));
    expect((await readdir(out)).toSorted()).toEqual(['history', 'index.html', 'report.json', 'report.md']);
    expect(JSON.parse(await readFile(join(out, 'report.json'), 'utf8'))).toEqual(sampleReport(memory));
    await prepareReportFolder(out);
    expect(await readdir(join(out, 'history'))).toEqual([]);
  });

  test.each([
    ['a foreign file', { 'thesis.txt': 'mine' }],
    ['a foreign report.json', { 'report.json': '{"format":"mine"}' }],
    ['a broken report.json', { 'report.json': '{' }],
  ])('with %s is refused and left alone', async (_, files) => {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    await expect(prepareReportFolder(folder)).rejects.toThrow('is not empty');
    expect(await readdir(folder)).toEqual(Object.keys(files));
  });
});
