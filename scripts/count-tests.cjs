/**
 * count-tests.cjs DIRECTORY NAME...: closes a run of the tests with one line that counts them, from
 * vitest's reports `DIRECTORY/NAME.json`. Before it, each test that passed only when it was run again
 * (CI alone does that) with its first failure: that is a finding, not noise.
 */
const { existsSync, readFileSync } = require('node:fs');

const [directory, ...names] = process.argv.slice(2);
const reports = names.map((name) => ({ name, path: `${directory}/${name}.json` }));
const missing = reports.filter(({ path }) => !existsSync(path));
const found = reports
  .filter(({ path }) => existsSync(path))
  .map(({ path }) => JSON.parse(readFileSync(path, 'utf8')));

for (const { name: file, assertionResults } of found.flatMap(({ testResults }) => testResults)) {
  for (const { status, fullName, failureMessages } of assertionResults) {
    if (status !== 'passed' || failureMessages.length === 0) continue;
    console.log(`needed a second run: ${file}\n  ${fullName}\n  ${failureMessages[0]}`);
  }
}

const total = (key) => found.reduce((sum, report) => sum + report[key], 0);
const words = [`${total('numPassedTests')} passed`, `${total('numFailedTests')} failed`];
const skipped = total('numPendingTests');
if (skipped > 0) words.push(`${skipped} skipped`);
words.push(...missing.map(({ name }) => `${name} tests NOT RUN`));
console.log(words.join(', '));
