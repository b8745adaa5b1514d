import { basicGroups } from './basic-groups.ts';
import type { FlowGroup } from './flow.ts';
import { masqueradeGroups } from './masquerade-groups.ts';
import type { Net } from './net.ts';
import { policyGroups } from './policy-groups.ts';

/** The flow table: the same rows hold for the verdict model and for packets. */
export function flowTable(net: Net): readonly FlowGroup[] {
  return [...basicGroups(net), ...policyGroups(net), ...masqueradeGroups(net)];
}
