import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import type { UpkeepNode } from '../../cni/node.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { waitOf } from '../config/policy-settings.ts';
import type { AgentContext } from '../context.ts';
import { PolicyAdmission } from './admission.ts';
import { LocalPods } from './local-pods.ts';

/** What the CNI of this node and those who enforce policies share, from before either serves. */
export interface PolicyNode {
  readonly admission: PolicyAdmission;
  /** As of now: what the CNI does later is heard by way of `join`. */
  readonly localPods: LocalPods;
  /** The node as its CNI has it, with policies. */
  join(node: UpkeepNode): UpkeepNode;
}

/** Reads which pods there are. Nobody starts before somebody serves the admission. */
export function openPolicyNode({ config, live, clock }: AgentContext): PolicyNode {
  const records = openRecords(join(config.runDir, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  const localPods = new LocalPods({ records, bootId: readBootId });
  localPods.read();
  const admission = new PolicyAdmission({
    clock,
    waitMs: () => waitOf(live.current.policy),
  });
  return {
    ...{ admission, localPods },
    join: (node) => ({ ...node, records: localPods.observe(node.records), policies: admission }),
  };
}
