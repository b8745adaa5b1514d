/** The command line as a process: what becomes of what it prints. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBootId } from '../../../src/cni/machine.ts';
import { openRecords } from '../../../src/cni/upkeep/records.ts';
import { recordOf } from '../agent/debug/lists/facts.ts';

const WEFT = join(import.meta.dirname, '../../../src/cli/weft.ts');
const PODS = 1_000;

let runDir: string;
beforeAll(() => {
  runDir = mkdtempSync(join(tmpdir(), 'wt-process-'));
  const records = openRecords(join(runDir, 'attachments'), { bootId: readBootId, now: () => 1 });
  for (let i = 0; i < PODS; i++) {
    const {
      bootId: _,
      createdAtMs: __,
      ...entry
    } = recordOf(`c${i}`, `shop/pod-${i}`, ['10.0.0.1']);
    records.write(entry);
  }
});
afterAll(() => rmSync(runDir, { recursive: true }));

const command = () => [WEFT, 'pods', '--output', 'json', '--run-dir', runDir];

test('a pipe gets all of it, more than it holds at once', () => {
  const options = { encoding: 'utf8', maxBuffer: 1 << 24 } as const;
  const output = execFileSync(process.execPath, command(), options);
  expect(output.length).toBeGreaterThan(1 << 17);
  expect(JSON.parse(output)).toMatchObject({ total: PODS });
});

test('who has read enough ends it, without a stack', () => {
  const { stderr } = spawnSync(
    'bash',
    ['-c', '"$0" "$@" | head -c 10', process.execPath, ...command()],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
});
