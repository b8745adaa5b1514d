import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openExecPlugin } from '../../../src/cni/exec-plugin.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-exec-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const exec = openExecPlugin({ timeoutMs: 300, pause: () => undefined });

function script(body: string, mode = 0o755): string {
  const file = join(directory, 'plugin');
  writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode });
  return file;
}

function run(body: string, mode?: number) {
  const env = { PATH: '/usr/bin:/bin', CNI_COMMAND: 'ADD', CNI_ARGS: undefined };
  return exec.run({ file: script(body, mode), env, stdin: Buffer.from('in\0put') });
}

describe('a plugin as a child process', () => {
  test('gets stdin and exactly this environment', () => {
    const { exitCode, stdout } = run('cat | od -An -c | tr -d " \\n"; env | grep -c . ; env');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^in\\0put/);
    expect(stdout).toContain('CNI_COMMAND=ADD');
    expect(stdout).not.toMatch(/CNI_ARGS|HOME=/);
  });

  test.each([
    ['echo out; exit 3', { exitCode: 3, stdout: 'out\n', stderr: '' }],
    ['kill -9 $$', { exitCode: undefined, problem: 'signal: SIGKILL' }],
    ['exec sleep 5', { exitCode: undefined, problem: 'no answer within 0.3 s' }],
  ])('%s', (body, want) => {
    expect(run(body)).toMatchObject(want);
  });

  test.each([0, 3])('one that ends with %i without reading its stdin just ends', (exitCode) => {
    const file = script(`exit ${exitCode}`);
    const ended = exec.run({ file, env: {}, stdin: Buffer.alloc(1024 * 1024) });
    expect(ended).toEqual({ exitCode, stdout: '', stderr: '' });
  });

  test('one that cannot be started says why', () => {
    expect(run('true', 0o644)).toMatchObject({
      exitCode: undefined,
      stdout: '',
      problem: expect.stringContaining('EACCES'),
    });
  });

  test('only regular files are plugins', () => {
    script('true', 0o644);
    expect(
      ['plugin', 'missing', '.', 'plugin/x'].map((name) =>
        exec.isRegularFile(join(directory, name)),
      ),
    ).toEqual([true, false, false, false]);
  });
});
