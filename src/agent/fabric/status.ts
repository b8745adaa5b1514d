import type { Backend, Path } from '../../fabric/plan.ts';
import { countFindings, type PathFinding } from '../../fabric/probe/path.ts';
import type { FabricReport } from '../../fabric/report.ts';
import { summarized } from '../../util/complaints.ts';
import type { FabricStatus } from '../status/values.ts';

/** What `weft status` tells of the fabric. */
export function fabricStatus(
  report: FabricReport,
  backend: Backend,
  findings: readonly PathFinding[],
  isOpen: boolean,
): FabricStatus {
  const { isReady, reason, podCIDRs, mtu, peers, entries, repairs, settledAtMs } = report;
  const count = (path: Path) => peers.filter((peer) => peer.path === path).length;
  return {
    isReady,
    reason,
    isOpen,
    backend,
    podCIDRs,
    ...(mtu === undefined ? {} : { mtu }),
    peers: {
      direct: count('direct'),
      vxlan: count('vxlan'),
      unreachable: count('unreachable'),
      withoutPods: count('none'),
    },
    paths: countFindings(findings),
    entries,
    repairs,
    ...(settledAtMs === undefined ? {} : { settledAt: new Date(settledAtMs).toISOString() }),
    problems: summarized(report.problems),
    notices: summarized(report.notices),
  };
}
