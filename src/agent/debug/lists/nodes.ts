/** Nodes of the cluster and the ways to their pods, as the fabric has them. */
import type { PlannedPeer } from '../../../fabric/plan.ts';
import type { PathFinding } from '../../../fabric/probe/path.ts';
import type { FabricReport } from '../../../fabric/report.ts';
import type { ListedNode, ListedPath, NodesAnswer } from './values.ts';

export interface NodeFacts {
  /** This one. */
  readonly nodeName: string;
  readonly backend: string;
  readonly report: Pick<FabricReport, 'podCIDRs' | 'mtu' | 'peers' | 'reason'>;
  readonly findings: readonly PathFinding[];
}

/** This node first, then the others by name. */
export function listNodes({ nodeName, backend, report, findings }: NodeFacts): NodesAnswer {
  const { podCIDRs, mtu, peers, reason } = report;
  const ofNode = Map.groupBy(findings, ({ path }) => path.node);
  const own: ListedNode = {
    ...{ name: nodeName, isThis: true, addresses: [], podCIDRs, way: 'own', paths: [] },
    problems: reason === '' ? [] : [reason],
  };
  const others = peers
    .map((peer) => listedPeer(peer, ofNode.get(peer.name) ?? []))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const items = [own, ...others];
  return { items, total: items.length, backend, ...(mtu === undefined ? {} : { mtu }) };
}

function listedPeer(peer: PlannedPeer, findings: readonly PathFinding[]): ListedNode {
  const { name, addresses, podCIDRs, path: way, problems } = peer;
  return {
    ...{ name, isThis: false, addresses, podCIDRs, way, problems },
    paths: findings.map(listedPath),
  };
}

function listedPath({ path, mtu, wanted, roundTripMs, atMs }: PathFinding): ListedPath {
  return {
    family: path.family,
    target: path.target,
    mtu,
    wanted,
    ...(roundTripMs === undefined ? {} : { roundTripMs }),
    probedAt: new Date(atMs).toISOString(),
  };
}
