import { describe, expect, test } from 'vitest';
import type { DiskStatus } from '../../../src/agent/debug/disk-status.ts';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import type { AgentStatus } from '../../../src/agent/status/values.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { runStatus } from '../../../src/cli/commands/status.ts';
import { UsageError } from '../../../src/cli/usage.ts';
import { IoError, WeftError } from '../../../src/util/errors.ts';

const STATUS: AgentStatus = {
  isRunning: true,
  isHealthy: true,
  problems: [],
  now: '2026-01-01T00:01:00.000Z',
  startedAt: '2026-01-01T00:00:00.000Z',
  version: '1.2.3',
  nodeVersion: 'v26.0.0',
  pid: 77,
  node: 'node-a',
  runDir: '/run/weft',
  components: [],
  residentBytes: 0,
};

const onRecord = (runDir: string): DiskStatus => ({
  runDir,
  rules: ['nftables'],
  cni: { attachments: 0, pods: 0, unfinishedAdds: 0, networks: [], doubts: [] },
});

/** Runs against an agent that answers with this, or is not there. */
async function run(
  line: string,
  answer: AgentStatus | Error,
  readDiskStatus: (runDir: string) => DiskStatus = onRecord,
) {
  const asked: (readonly [string, DebugRequest])[] = [];
  let out = '';
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  const code = await runStatus(invocation.flags, {
    runDir: '/run/default',
    askAgent: async (runDir, request) => {
      asked.push([runDir, request]);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    readDiskStatus: async (runDir) => readDiskStatus(runDir),
    isTerminal: false,
    print: (text) => {
      out += text;
    },
  });
  return { asked, code, out };
}

describe('exit code', () => {
  test.each([
    ['healthy', STATUS, 0],
    ['not healthy', { ...STATUS, isHealthy: false }, 1],
    ['not running', new IoError('nobody answers'), 1],
  ] as const)('%s', async (_, answer, want) => {
    expect((await run('status', answer)).code).toBe(want);
  });
});

test('asks the agent of the run directory', async () => {
  const { asked } = await run('status --run-dir /run/x', STATUS);
  expect(asked).toEqual([['/run/x', { command: 'status' }]]);
});

test.each(['status --output json', 'status --json'])('%s is what the agent said', async (line) => {
  const { out } = await run(line, STATUS);
  expect(JSON.parse(out)).toEqual(STATUS);
});

test('JSON without an agent is what is on record', async () => {
  const { out } = await run('status --output=json', new IoError('nobody answers'));
  expect(JSON.parse(out)).toMatchObject({
    isRunning: false,
    isHealthy: false,
    problems: ['nobody answers'],
    onRecord: { runDir: '/run/default', rules: ['nftables'] },
  });
});

test('whoever may not read the records either is told why the agent was not asked', async () => {
  const refused = new IoError('only root may ask');
  const unreadable = () => {
    throw new IoError('read /run/default/proxy-mode: EACCES');
  };
  await expect(run('status', refused, unreadable)).rejects.toBe(refused);
});

test('what an agent refuses is not taken for its absence', async () => {
  const refused = new WeftError('EINVAL', 'command: expected explain or diff');
  await expect(run('status', refused)).rejects.toBe(refused);
});

test('another output is refused', async () => {
  await expect(run('status --output yaml', STATUS)).rejects.toThrow(UsageError);
});
