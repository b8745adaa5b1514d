import type { Endpoint } from './endpoints.ts';
import { type ServicePort, usesClusterEndpoints, usesLocalEndpoints } from './service.ts';

/** Where this node is, as far as endpoint hints care. */
export interface NodeLocality {
  readonly nodeName: string;
  /** Label `topology.kubernetes.io/zone`; undefined when the node has none. */
  readonly zone: string | undefined;
}

/** The endpoints of one ServicePort, sorted out by who may be sent to them. */
export interface CategorizedEndpoints {
  /** For traffic with policy Cluster. */
  readonly cluster: readonly Endpoint[];
  /** For traffic with policy Local; empty unless the port has such a policy. */
  readonly local: readonly Endpoint[];
  /** Every endpoint that either of them reaches from this node. */
  readonly reachable: readonly Endpoint[];
  /** Some node has a usable endpoint, even if this one may not use it. */
  readonly hasAny: boolean;
}

type HintMode = 'node' | 'zone' | undefined;

const NOTHING: CategorizedEndpoints = { cluster: [], local: [], reachable: [], hasAny: false };

/**
 * Chooses endpoints as kube-proxy's CategorizeEndpoints does (pkg/proxy/topology.go): ready ones,
 * narrowed by hints for policy Cluster; terminating ones that still serve when no ready one is
 * left, decided for Cluster and Local each on its own. Hints never apply to policy Local nor to
 * the terminating ones.
 */
export function categorizeEndpoints(
  endpoints: readonly Endpoint[],
  port: ServicePort,
  locality: NodeLocality,
): CategorizedEndpoints {
  if (endpoints.length === 0) return NOTHING;
  const usesCluster = usesClusterEndpoints(port);
  const ready = endpoints.filter(({ target }) => target.isReady);
  const draining = endpoints.filter(({ target }) => isDraining(target));
  const cluster = usesCluster ? chooseCluster(ready, draining, locality) : [];
  if (!usesLocalEndpoints(port)) {
    return { cluster, local: [], reachable: cluster, hasAny: cluster.length > 0 };
  }
  const localReady = ready.filter(({ target }) => target.isLocal);
  const local =
    localReady.length > 0 ? localReady : draining.filter(({ target }) => target.isLocal);
  return {
    cluster,
    local,
    reachable: usesCluster ? union(cluster, local) : local,
    hasAny: ready.length > 0 || draining.length > 0,
  };
}

function isDraining(target: Endpoint['target']): boolean {
  return !target.isReady && target.isServing && target.isTerminating;
}

function chooseCluster(
  ready: readonly Endpoint[],
  draining: readonly Endpoint[],
  locality: NodeLocality,
): readonly Endpoint[] {
  const mode = hintMode(ready, locality);
  const allowed = ready.filter(({ target }) => isAllowed(target, mode, locality));
  return allowed.length > 0 ? allowed : draining;
}

/** One ready endpoint without hints turns the mode off: the hints are incomplete. */
function hintMode(ready: readonly Endpoint[], locality: NodeLocality): HintMode {
  for (const mode of ['node', 'zone'] as const) {
    const isComplete = ready.every(({ target }) => hintsOf(target, mode).length > 0);
    if (isComplete && ready.some(({ target }) => isAllowed(target, mode, locality))) return mode;
  }
  return undefined;
}

function isAllowed(target: Endpoint['target'], mode: HintMode, locality: NodeLocality): boolean {
  if (mode === undefined) return true;
  const here = mode === 'node' ? locality.nodeName : locality.zone;
  return here !== undefined && here !== '' && hintsOf(target, mode).includes(here);
}

function hintsOf(target: Endpoint['target'], mode: 'node' | 'zone'): readonly string[] {
  return mode === 'node' ? target.nodeHints : target.zoneHints;
}

function union(left: readonly Endpoint[], right: readonly Endpoint[]): readonly Endpoint[] {
  const all = new Set(left);
  for (const endpoint of right) all.add(endpoint);
  return all.size === left.length ? left : [...all];
}
