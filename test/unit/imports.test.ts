import { describe, expect, test } from 'vitest';
import { findCycles, findImportViolations, readSources } from '../support/imports.ts';

const sources = readSources(new URL('../../src', import.meta.url).pathname);

describe('import rules', () => {
  test('there is something to check', () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  test('imports run one way and packages stay in their places', () => {
    expect(findImportViolations(sources)).toEqual([]);
  });

  test('there are no cycles', () => {
    expect(findCycles(sources)).toEqual([]);
  });
});

describe('the rules themselves fire', () => {
  test.each([
    { path: 'net/ip.ts', from: '../util/errors.ts', want: 'util is above net' },
    { path: 'cni/add.ts', from: '../proxy/service.ts', want: 'cni and proxy stand side by side' },
    { path: 'iptables/programs.ts', from: '../kernel/netns.ts', want: 'kernel is above iptables' },
    {
      path: 'iptables/programs.ts',
      from: '../nftables/model.ts',
      want: 'iptables and nftables stand side by side',
    },
    { path: 'kube/client.ts', from: '../cli/weft.ts', want: 'cli is above kube' },
    { path: 'util/runner.ts', from: 'yargs-parser', want: 'package yargs-parser belongs to' },
    { path: 'cni/add.ts', from: 'left-pad', want: 'package left-pad is not one of' },
    { path: 'net/ip.ts', from: '../nowhere/x.ts', want: 'nowhere has no layer' },
    { path: 'agent/status/values.ts', from: '../debug/a.ts', want: 'debug is above status' },
    { path: 'agent/context.ts', from: './agent.ts', want: 'agent is above context' },
    {
      path: 'agent/fabric/a.ts',
      from: '../policy/b.ts',
      want: 'policy stand side by side',
    },
    { path: 'agent/new/a.ts', from: '../version.ts', want: 'new has no layer' },
  ])('$path importing $from', ({ path, from, want }) => {
    const [violation] = findImportViolations([{ path, text: `import { x } from '${from}';` }]);
    expect(violation).toContain(want);
  });

  test('multi-line imports, re-exports and import() are seen', () => {
    const text = [
      "import {\n  a,\n  b,\n} from '../cli/a.ts';",
      "export type { c } from '../cli/b.ts';",
      "const d = await import('../cli/c.ts');",
    ].join('\n');
    expect(findImportViolations([{ path: 'net/ip.ts', text }])).toHaveLength(3);
  });

  test.each([
    ["import { x } from '../agent/a.ts';", 1],
    ["import { type T, x } from '../agent/a.ts';", 1],
    ["import type { T } from '../agent/a.ts';", 0],
    ["import { x } from './x.ts';", 0],
  ])('the page: %s', (text, count) => {
    expect(findImportViolations([{ path: 'ui/a.ts', text }])).toHaveLength(count);
  });

  test('barrel files are reported', () => {
    expect(findImportViolations([{ path: 'net/index.ts', text: '' }])).toHaveLength(1);
  });

  test('cycles are reported', () => {
    const files = [
      { path: 'net/a.ts', text: "import { b } from './b.ts';" },
      { path: 'net/b.ts', text: "import { a } from './a.ts';" },
    ];
    expect(findCycles(files)).toEqual(['net/a.ts -> net/b.ts -> net/a.ts']);
  });
});
