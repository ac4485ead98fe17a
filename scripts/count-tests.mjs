// Prints `tests: N passed, N failed, N skipped` from the runner's JSON reports in .results/.
// Exits 1 when a test failed, when none passed, or when there is no report.
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const folder = '.results';
const reports = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
if (reports.length === 0) {
  console.error(`no test report in ${folder}/`);
  process.exit(1);
}

let passed = 0;
let failed = 0;
let skipped = 0;
for (const name of reports) {
  const report = JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  // A file that does not load, or whose hook fails, has failed without a failed test in it.
  failed += report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
}
console.log(`tests: ${passed} passed, ${failed} failed, ${skipped} skipped`);
if (failed > 0 || passed === 0) process.exitCode = 1;
