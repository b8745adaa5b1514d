import { type Cidr, containsCidr, containsIP, hostCidr } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import type { Frontend, FrontendClaims } from './claims.ts';
import { type Endpoint, mergeEndpoints, type SliceRecord } from './endpoints.ts';
import type { ServicePort } from './service.ts';
import { categorizeEndpoints, type NodeLocality } from './topology.ts';
import { type WeighedEndpoints, weigh } from './weights.ts';

/** What of this node decides about endpoints and clients. */
export interface NodeView extends NodeLocality {
  /** Its first address of the family, as its object names them. */
  readonly nodeIP: IP | undefined;
}

/** Where new connections go. */
export interface Route extends WeighedEndpoints {
  /** What to do when there are none: answer that nobody is there, or stay silent. */
  readonly whenEmpty: 'reject' | 'drop';
}

/**
 * Whose source address is replaced by the node's, besides that of an endpoint that reaches itself:
 * everybody's but that of this node's pods; everybody's; this node's own only.
 */
export type Masquerading = 'offCluster' | 'always' | 'node';

/** One frontend and what becomes of its connections. */
export interface ResolvedFrontend {
  readonly frontend: Frontend;
  /** For everybody; where `outside` is given, for this node and its pods only. */
  readonly route: Route;
  /** For everybody else, with `externalTrafficPolicy: Local`. */
  readonly outside: Route | undefined;
  readonly masquerading: Masquerading;
  /** Sources that may use it, none within another; empty: everybody may, the others are dropped. */
  readonly allowedSources: readonly Cidr[];
}

/** A ServicePort with everything a renderer needs to know; a plain value of one sync. */
export interface ResolvedPort {
  readonly port: ServicePort;
  readonly frontends: readonly ResolvedFrontend[];
  /** Everything its slices list, in whatever state. */
  readonly endpoints: readonly Endpoint[];
  /** Endpoints on this node that some traffic of this port reaches. */
  readonly localEndpoints: readonly Endpoint[];
  /** The traffic policies that find no endpoint on this node while other nodes have some. */
  readonly policiesWithoutLocal: readonly ('internal' | 'external')[];
}

/** Decides for one ServicePort which of its frontends it serves, and with which endpoints. */
export function resolvePort(
  port: ServicePort,
  slices: Iterable<SliceRecord>,
  claims: FrontendClaims,
  node: NodeView,
): ResolvedPort {
  const endpoints = mergeEndpoints(slices, port.portName, port.protocol);
  const { cluster, local, reachable, hasAny } = categorizeEndpoints(endpoints, port, node);
  const { isInternalLocal, isExternalLocal } = port.policy;
  const lacksLocal = hasAny && local.length === 0;
  const sources = allowedSources(port, node);
  const routes: Routes = {
    cluster: { ...weigh(cluster, port.policy.weights), whenEmpty: 'reject' },
    local: { ...weigh(local, port.policy.weights), whenEmpty: hasAny ? 'drop' : 'reject' },
  };
  return {
    port,
    frontends: claims
      .owned(port)
      .map((frontend) => resolveFrontend(frontend, port, routes, sources)),
    endpoints,
    localEndpoints: reachable.filter(({ target }) => target.isLocal),
    policiesWithoutLocal: [
      ...(lacksLocal && isInternalLocal ? (['internal'] as const) : []),
      ...(lacksLocal && isExternalLocal ? (['external'] as const) : []),
    ],
  };
}

/** For the two traffic policies. */
interface Routes {
  readonly cluster: Route;
  readonly local: Route;
}

function resolveFrontend(
  frontend: Frontend,
  { policy }: ServicePort,
  { cluster, local }: Routes,
  sources: readonly Cidr[],
): ResolvedFrontend {
  if (frontend.kind === 'clusterIP') {
    const route = policy.isInternalLocal ? local : cluster;
    return { frontend, route, outside: undefined, masquerading: 'offCluster', allowedSources: [] };
  }
  return {
    frontend,
    route: cluster,
    outside: policy.isExternalLocal ? local : undefined,
    masquerading: policy.isExternalLocal ? 'node' : 'always',
    allowedSources: frontend.kind === 'loadBalancerIP' ? sources : [],
  };
}

/**
 * The source ranges without those within others. Where this node is allowed, so are the load
 * balancer's own addresses: on a node that has one of them, the node's connections come from it.
 */
function allowedSources(port: ServicePort, { nodeIP }: NodeView): readonly Cidr[] {
  const { sourceRanges, loadBalancerIPs } = port.policy;
  if (sourceRanges.length === 0) return sourceRanges;
  const allowsNode =
    nodeIP !== undefined && sourceRanges.some((range) => containsIP(range, nodeIP));
  const ranges = allowsNode ? [...sourceRanges, ...loadBalancerIPs.map(hostCidr)] : sourceRanges;
  return withoutContained(ranges);
}

function withoutContained(ranges: readonly Cidr[]): readonly Cidr[] {
  const unique = [...new Set(ranges)];
  return unique.filter((range) =>
    unique.every((other) => other === range || !containsCidr(other, range)),
  );
}
