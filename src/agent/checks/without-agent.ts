import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { systemClock } from '../../util/clock.ts';
import { DEFAULT_CNI, DEFAULT_STATE_DIR } from '../config/default-directories.ts';
import type { Findings } from '../status/finding.ts';
import { checkedPods } from './checked-pods.ts';
import { lookAtNode } from './look.ts';
import { DEFAULT_BIN } from './start.ts';
import { openSubjects } from './subjects.ts';

/**
 * Looks at the node alone: no agent is asked, and its directories are where they are unless
 * configured otherwise.
 */
export function checkWithoutAgent(runDir: string): Promise<Findings> {
  const records = openRecords(join(runDir, 'attachments'), {
    bootId: readBootId,
    now: () => systemClock.now(),
  });
  const { ipamDirectory: ipam, confDirectory: conf } = DEFAULT_CNI;
  const directories = { run: runDir, state: DEFAULT_STATE_DIR, ipam, conf, bin: DEFAULT_BIN };
  const node = { directories, pods: checkedPods(records) };
  return lookAtNode(openSubjects(), node, systemClock);
}
