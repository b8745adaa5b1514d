import { BRIDGE_CALLS } from '../../../cni/upkeep/bridge-calls.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import { type IPFamily, ipFamily } from '../../../net/ip.ts';
import { type Fact, factOf } from '../check.ts';
import type { CheckedNode, CheckedPod } from '../checked-node.ts';
import { FORWARDING, type SysctlFacts } from '../node-sysctls.ts';

export function readSysctlFacts({ pods, agent }: CheckedNode): SysctlFacts {
  const families = familiesOf(pods);
  const bridged = pods.filter(({ isIsolated }) => !isIsolated);
  return {
    families,
    forwardsNow: pods.length > 0 || agent?.components.has('fabric') === true,
    forwarding: readAll(FORWARDING),
    bridgeCalls: readAll(BRIDGE_CALLS),
    sharedBridges: bridgesOf(bridged, 2),
    isolatedBridges: bridgesOf(pods, 2),
    hasProxy: agent?.components.has('proxy') === true,
  };
}

function readAll(paths: Readonly<Record<IPFamily, string>>): SysctlFacts['forwarding'] {
  const read = (family: IPFamily): Fact<string | undefined> =>
    factOf(() => sysctls.read(undefined, paths[family]));
  return { 4: read(4), 6: read(6) };
}

function familiesOf(pods: readonly CheckedPod[]): readonly IPFamily[] {
  if (pods.length === 0) return [4];
  const families = new Set(pods.flatMap(({ addresses }) => addresses.map(ipFamily)));
  return ([4, 6] as const).filter((family) => families.has(family));
}

/** Those with so many pods at least. */
function bridgesOf(pods: readonly CheckedPod[], fewest: number): readonly string[] {
  const counts = new Map<string, number>();
  for (const { bridge } of pods) counts.set(bridge, (counts.get(bridge) ?? 0) + 1);
  return [...counts].filter(([, count]) => count >= fewest).map(([bridge]) => bridge);
}
