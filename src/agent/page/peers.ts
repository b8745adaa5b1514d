import type { PlannedPeer } from '../../fabric/plan.ts';
import type { PathFinding } from '../../fabric/probe/path.ts';
import { byName } from './by-name.ts';
import { MOST_PEERS, type UiPeer } from './snapshot.ts';

/** Other nodes, by name, with the worst that a probe of a path to them has found. */
export function peersOf(
  peers: readonly PlannedPeer[],
  findings: readonly PathFinding[],
): readonly UiPeer[] {
  const byNode = Map.groupBy(findings, ({ path }) => path.node);
  return peers
    .map(({ name, addresses, podCIDRs, path, problems }) => ({
      key: name,
      addresses,
      podCIDRs,
      way: path,
      ...worstOf(byNode.get(name) ?? []),
      problems,
    }))
    .toSorted((a, b) => byName(a.key, b.key))
    .slice(0, MOST_PEERS);
}

function worstOf(findings: readonly PathFinding[]): Pick<UiPeer, 'path' | 'mtu' | 'roundTripMs'> {
  const [worst] = findings.toSorted((a, b) => a.mtu - a.wanted - (b.mtu - b.wanted));
  if (worst === undefined) return { path: 'not probed' };
  const { mtu, wanted, roundTripMs } = worst;
  if (mtu === 0) return { path: 'silent' };
  return {
    path: mtu >= wanted ? 'full' : 'smaller',
    mtu,
    ...(roundTripMs === undefined ? {} : { roundTripMs: Math.round(roundTripMs * 10) / 10 }),
  };
}
