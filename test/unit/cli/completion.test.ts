import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { bashScript } from '../../../src/cli/completion/bash.ts';
import { fishScript } from '../../../src/cli/completion/fish.ts';
import { completedCommand } from '../../../src/cli/completion/model.ts';
import { zshScript } from '../../../src/cli/completion/zsh.ts';

/** The flags of these are enough to see every kind of value. */
const SOME = ['status', 'services', 'policy pod', 'policy check', 'completion'];
const all = await Promise.all(COMMANDS.map(completedCommand));
const some = all.filter(({ words }) => SOME.includes(words.join(' ')));

test.each([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
] as const)('the script of %s', async (shell, script) => {
  await expect(script(some)).toMatchFileSnapshot(`completion/weft.${shell}`);
});

describe('in bash', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'wt-completion-'));
    writeFileSync(join(directory, 'weft.bash'), bashScript(all));
    // Names of objects are anything: none is run.
    const names = 'printf "%s\\n" "shop/$2-web" "shop/api" \'$(touch ran)\'';
    writeFileSync(join(directory, 'weft'), `#!/bin/sh\n${names}\n`);
    chmodSync(join(directory, 'weft'), 0o755);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** What completes the last word, in order. */
  function complete(...words: readonly string[]): readonly string[] {
    const script = `source ./weft.bash; COMP_WORDS=(./weft "$@"); COMP_CWORD=$#; _weft; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const output = execFileSync('bash', ['-c', script, 'bash', ...words], {
      ...{ cwd: directory, encoding: 'utf8' },
    });
    return output
      .split('\n')
      .filter((line) => line !== '')
      .toSorted();
  }

  test.each([
    { words: ['sta'], want: ['status'] },
    { words: ['policy', ''], want: ['check', 'denied', 'list', 'pod'] },
    { words: ['status', '--out'], want: ['--output'] },
    { words: ['status', '--output', 'j'], want: ['json'] },
    { words: ['pods', '--output', '=', 'w'], want: ['wide'] },
    { words: ['services', '--output', '='], want: ['json', 'text', 'wide'] },
    { words: ['policy', 'list', '--a'], want: ['--all'] },
    { words: ['completion', ''], want: ['bash', 'fish', 'zsh'] },
    { words: ['services', '--limit', ''], want: [] },
    { words: ['agent', '--config', 'weft.'], want: ['weft.bash'] },
    { words: ['services', 'shop/a'], want: ['shop/api'] },
    { words: ['policy', 'pod', 'shop/-'], want: ['shop/--names-web'] },
  ])('$words', ({ words, want }) => {
    expect(complete(...words)).toEqual(want);
  });

  test('names are never run', () => {
    expect(complete('explain', '--to', '')).toContain('\\$\\(touch\\ ran\\)');
    expect(complete('agent', '--config', 'ran')).toEqual([]);
  });
});

async function run(line: string, answer: unknown) {
  const asked: DebugRequest[] = [];
  let out = '';
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  const effects = {
    runDir: '/run/default',
    askAgent: async (_runDir: string, request: DebugRequest) => {
      asked.push(request);
      return answer;
    },
    print: (text: string) => {
      out += text;
    },
  };
  // It uses none of the others.
  const all = effects as unknown as Parameters<typeof invocation.command.run>[1];
  const ended = await invocation.command
    .run(invocation.flags, all)
    .catch((error: Error) => error.message);
  return { asked, out, ended };
}

test('names are asked of the agent', async () => {
  const { asked, out } = await run('completion --names pods --prefix shop/', ['shop/a', 'shop/b']);
  expect(asked).toEqual([{ command: 'names', of: 'pods', prefix: 'shop/' }]);
  expect(out).toBe('shop/a\nshop/b\n');
});

test.each([
  ['completion', 'which shell? expected bash, zsh or fish'],
  ['completion tcsh', 'which shell? expected bash, zsh or fish, found "tcsh"'],
  [
    'completion --names x',
    '--names: expected one of pods, services, namespaces, nodes, addresses, parties, found "x"',
  ],
])('%s is refused', async (line, message) => {
  expect((await run(line, [])).ended).toBe(message);
});
