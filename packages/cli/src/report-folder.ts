import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { REPORT_FORMAT } from './report.ts';
import { renderHtml } from './report-html.ts';
import { renderMarkdown } from './report-markdown.ts';
import type { Report } from './report-types.ts';
import { UsageError } from './usage-error.ts';

/**
 * Makes the folder ready for a new report: makes it, or empties what an earlier report left. A folder that holds
 * anything else is not touched.
 *
 * @throws UsageError naming the folder.
 */
export async function prepareReportFolder(folder: string): Promise<void> {
  const found = await entriesOf(folder);
  if (found.length > 0 && !(await isOurs(folder))) {
    throw new UsageError(
      `--out ${folder} is not empty, and no report of ours is in it; name another folder, or empty it`,
    );
  }
  for (const name of ['report.json', 'report.md', 'index.html', 'history']) {
    await rm(join(folder, name), { recursive: true, force: true });
  }
  await mkdir(join(folder, 'history'), { recursive: true });
  // The marker comes first, so that a run that is cut short leaves a folder which the next one may use.
  await writeFile(join(folder, 'report.json'), `${JSON.stringify({ format: REPORT_FORMAT, targets: [] })}\n`);
}

/** Writes `report.json`, `report.md` and `index.html`; the histories are there already. */
export async function writeReport(folder: string, report: Report): Promise<void> {
  await writeFile(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(folder, 'report.md'), renderMarkdown(report));
  await writeFile(join(folder, 'index.html'), renderHtml(report));
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new UsageError(`--out ${folder} can't be used: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
}

/** Ours: a `report.json` that says which format of ours it has. */
async function isOurs(folder: string): Promise<boolean> {
  try {
    const marker: unknown = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'));
    const { format, targets } = marker as { format?: unknown; targets?: unknown };
    return format === REPORT_FORMAT && Array.isArray(targets);
  } catch {
    return false;
  }
}
