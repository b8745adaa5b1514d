import { expect, test } from 'vitest';
import { manifestProblemTexts } from '../../../../src/agent/proxy/object-source.ts';

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
