import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const SCRIPT = new URL('../../../scripts/count-tests.cjs', import.meta.url).pathname;

test('a test that passed only the second time is named with its first failure', () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-count-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const result = (fullName: string, failureMessages: readonly string[]) => {
    return { status: 'passed', fullName, failureMessages };
  };
  const report = {
    numPassedTests: 2,
    numFailedTests: 0,
    numPendingTests: 0,
    testResults: [
      {
        name: 'test/netns/a.test.ts',
        assertionResults: [result('sound', []), result('shaky', ['expected 1', 'expected 2'])],
      },
    ],
  };
  writeFileSync(join(directory, 'netns.json'), JSON.stringify(report));
  expect(
    execFileSync(process.execPath, [SCRIPT, directory, 'netns', 'uml'], { encoding: 'utf8' }),
  ).toBe(
    'needed a second run: test/netns/a.test.ts\n  shaky\n  expected 1\n' +
      '2 passed, 0 failed, uml tests NOT RUN\n',
  );
});
