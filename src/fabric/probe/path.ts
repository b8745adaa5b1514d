import { cidrFamily, networkAddress } from '../../net/cidr.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import type { PlannedPeer } from '../plan.ts';

/** A way to the pods of a peer. */
export interface ProbedPath {
  readonly node: string;
  readonly family: IPFamily;
  /** An address of the other node that packets take the way of pods to. */
  readonly target: IP;
  readonly way: 'direct' | 'vxlan';
}

/** What was found about a path. */
export interface PathFinding {
  readonly path: ProbedPath;
  /** Size of packets that arrive: that of pods, a smaller one, or 0 when nothing was answered. */
  readonly mtu: number;
  /** Size that pods use. */
  readonly wanted: number;
  readonly roundTripMs: number | undefined;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** The first address of a podCIDR is the node's own, on its tunnel device. */
export function pathsTo(peers: readonly PlannedPeer[]): readonly ProbedPath[] {
  return peers.flatMap(({ name: node, path: way, podCIDRs }) => {
    if (way !== 'direct' && way !== 'vxlan') return [];
    return podCIDRs.map((cidr) => {
      return { node, way, family: cidrFamily(cidr), target: networkAddress(cidr) };
    });
  });
}

/** Who may ask: addresses of peers, and the first ones of their podCIDRs. */
export function askingAddresses(peers: readonly PlannedPeer[]): ReadonlySet<IP> {
  return new Set(
    peers.flatMap(({ addresses, podCIDRs }) => [...addresses, ...podCIDRs.map(networkAddress)]),
  );
}

/** What is wrong with a path, with the cure; undefined where nothing is, or nothing is known. */
export function pathProblem({ path, mtu, wanted }: PathFinding): string | undefined {
  if (mtu === 0 || mtu >= wanted) return undefined;
  const { node, family, way } = path;
  const means = way === 'direct' ? 'directly' : 'by VXLAN';
  return (
    `node ${node}: packets of ${wanted} bytes, the MTU of pods, do not arrive (IPv${family}, ${means}), those ` +
    `of ${mtu} do: raise the MTU of the links between, or set fabric.mtu: ${mtu}`
  );
}

/** How many paths pass what pods send, only smaller packets, or answer nothing. */
export function countFindings(findings: readonly PathFinding[]) {
  const count = (is: (finding: PathFinding) => boolean) => findings.filter(is).length;
  return {
    full: count(({ mtu, wanted }) => mtu >= wanted),
    smaller: count(({ mtu, wanted }) => mtu > 0 && mtu < wanted),
    nothing: count(({ mtu }) => mtu === 0),
  };
}
