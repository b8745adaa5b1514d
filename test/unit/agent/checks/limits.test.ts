import { expect, test } from 'vitest';
import { LIMIT_CHECKS, type LimitFacts } from '../../../../src/agent/checks/limits.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const GOOD: LimitFacts = {
  watch: undefined,
  inotifyInstances: 128,
  inotifyWatches: 65_536,
  openFiles: { used: 30, most: 1_024 },
  nodeFiles: { used: 1_000, most: 1_000_000 },
};
const SYSCTLS = 'fs.inotify.max_user_instances is 128, max_user_watches 65536';

test.each<[string, Partial<LimitFacts>, string]>([
  ['good', {}, `ok: ${SYSCTLS}`],
  [
    'no instance left',
    { watch: 'EMFILE' },
    `failing: no inotify instance is left: ${SYSCTLS} | sysctl -w fs.inotify.max_user_instances=8192`,
  ],
  [
    'no watch left',
    { watch: 'ENOSPC' },
    `failing: no file can be watched any more: ${SYSCTLS} | sysctl -w fs.inotify.max_user_watches=524288`,
  ],
  [
    'few instances',
    { inotifyInstances: 16 },
    'warning: fs.inotify.max_user_instances is 16, max_user_watches 65536 | ' +
      'sysctl -w fs.inotify.max_user_instances=8192',
  ],
  ['unreadable', { inotifyInstances: UNREADABLE }, UNKNOWN],
])('inotify: %s', (_, facts, want) => {
  expect(judge(LIMIT_CHECKS, 'inotify', { ...GOOD, ...facts })).toBe(want);
});

test.each<[string, Partial<LimitFacts>, string]>([
  ['good', {}, 'ok: the agent has 30 of 1024 files open'],
  ['without an agent', { openFiles: undefined }, 'ok: 1000 files of the node are open'],
  [
    'without a limit',
    { openFiles: { used: 30, most: Infinity } },
    'ok: the agent has 30 files open, without a limit',
  ],
  [
    'the agent',
    { openFiles: { used: 1_000, most: 1_024 } },
    'failing: the agent has 1000 of 1024 files open | raise LimitNOFILE of the agent (ulimit -n)',
  ],
  [
    'the node',
    { nodeFiles: { used: 990, most: 1_000 } },
    'failing: 990 of 1000 files of the node are open | sysctl -w fs.file-max=2000',
  ],
  ['unreadable', { nodeFiles: UNREADABLE }, UNKNOWN],
])('open-files: %s', (_, facts, want) => {
  expect(judge(LIMIT_CHECKS, 'open-files', { ...GOOD, ...facts })).toBe(want);
});
