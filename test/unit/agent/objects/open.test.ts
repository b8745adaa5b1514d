import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { manifestProblemTexts } from '../../../../src/agent/objects/open.ts';
import { serverProblems } from '../../../../src/agent/objects/server-problems.ts';
import { stateDirectoryOf } from '../../../../src/agent/objects/state-directory.ts';
import { recordingLog } from '../../../support/kube.ts';

test('problems of manifests are told with their place, the first five of them', () => {
  const problem = { file: 'a.yaml', line: 3, column: 7, key: '', reason: 'is missing' };
  const other = { file: 'b.yaml', key: '', reason: 'EACCES' };
  expect(manifestProblemTexts([problem, other])).toEqual([
    'manifest a.yaml:3:7: is missing',
    'manifest b.yaml: EACCES',
  ]);
  expect(manifestProblemTexts(Array(7).fill(other)).slice(4)).toEqual([
    'manifest b.yaml: EACCES',
    'and 2 more problems of manifests',
  ]);
});

describe('an API server that fails', () => {
  const counts = {
    ...{ lists: 1, watches: 1, failures: {}, withheld: 0, isRestored: false },
    resource: 'services',
  };
  const failing = (words: string, sinceMs: number) => ({
    ...{ words, cure: 'look', sinceMs, kind: 'refused' },
    asked: { verb: 'list', resource: 'services' } as const,
  });

  test('is told with since when, one line per cause', () => {
    const all = [
      { ...counts, failing: failing('connection refused', 7_000) },
      { ...counts, resource: 'nodes', failing: failing('connection refused', 2_000) },
      { ...counts, resource: 'servicecidrs' },
      { ...counts, resource: 'nodes', failing: failing('we may not list nodes (403)', 1_000) },
    ];
    expect(serverProblems('API server 10.0.0.1:6443', all, 62_000)).toEqual([
      'API server 10.0.0.1:6443: connection refused, for 60 s; what was last read is served; look',
      'API server 10.0.0.1:6443: we may not list nodes (403), for 61 s; what was last read is served; look',
    ]);
  });

  test('for a moment is not worth a word', () => {
    expect(serverProblems('x', [{ ...counts, failing: failing('refused', 1_000) }], 5_999)).toEqual(
      [],
    );
  });
});

test('a state directory that others can choose or fill is not used', () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-state-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const at = (name: string) => join(directory, name);
  const { log, records } = recordingLog();
  mkdirSync(at('victim'));
  symlinkSync(at('victim'), at('link'));
  mkdirSync(at('open'));
  chmodSync(at('open'), 0o777);
  for (const name of ['link', 'open']) expect(stateDirectoryOf(at(name), log)).toEqual({});
  expect(readdirSync(at('victim'))).toEqual([]);
  expect(records.map(({ msg }) => msg)).toEqual(
    Array(2).fill('last known objects are neither read nor kept'),
  );
  expect(stateDirectoryOf(at('own'), log)).toEqual({ stateDirectory: at('own') });
  expect(statSync(at('own')).mode & 0o777).toBe(0o700);
});
