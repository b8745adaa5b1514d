import type { AgentStatus } from '../status/values.ts';
import type { UiNode, UiUplink } from './snapshot.ts';

/** The agent and its node, out of what `weft status` tells. */
export function nodeOf(
  { node: name, version, startedAt, isHealthy, components, proxy, fabric }: AgentStatus,
  uplink: UiUplink | undefined,
  counts: UiNode['counts'],
): UiNode {
  return {
    ...{ name, version, startedAt, isHealthy, components },
    ...(proxy === undefined ? {} : { proxyMode: proxy.mode }),
    ...(fabric === undefined ? {} : { backend: fabric.backend }),
    podCIDRs: fabric?.podCIDRs ?? [],
    ...(fabric?.mtu === undefined ? {} : { mtu: fabric.mtu }),
    ...(uplink === undefined ? {} : { uplink }),
    counts,
  };
}
