/** Who is led to an endpoint, and why somebody is not: in words of the objects, for people. */
import type { Endpoint } from './endpoints.ts';
import { type ServicePort, usesClusterEndpoints } from './service.ts';
import type { ResolvedPort, Route } from './state.ts';
import type { NodeLocality } from './topology.ts';

/**
 * `notReady`: it says so itself. `terminating`: its pod is going, and others are ready or it serves no
 * more. `otherNode`: a traffic policy is Local. `otherZone`, `hintedElsewhere`: hints are for another zone
 * or node. `noWeight`: the Service's weights give it nothing. `otherFamily`: the Service has no address of
 * this family.
 */
export type LeftOut =
  | 'notReady'
  | 'terminating'
  | 'otherNode'
  | 'otherZone'
  | 'hintedElsewhere'
  | 'noWeight'
  | 'otherFamily';

export interface EndpointUse {
  /** `draining`: it terminates and still serves, as nobody else is ready. */
  readonly state: 'ready' | 'draining' | 'notReady' | 'terminating';
  /** `cluster`: this node and its pods; `outside`: clients of NodePorts and external addresses. */
  readonly usedBy: 'everybody' | 'cluster' | 'outside' | 'nobody';
  /** Why not by everybody. */
  readonly leftOut?: LeftOut;
}

/** What becomes of one of the endpoints of a port. */
export function endpointUse(
  endpoint: Endpoint,
  { port, frontends }: ResolvedPort,
  locality: NodeLocality,
): EndpointUse {
  const inside = frontends.filter(({ frontend }) => frontend.kind === 'clusterIP');
  const outside = frontends.filter(({ frontend }) => frontend.kind !== 'clusterIP');
  const isFor = (routes: readonly Route[]) => {
    return routes.some(({ endpoints }) => endpoints.includes(endpoint));
  };
  const isInside = isFor(inside.map(({ route }) => route));
  const isOutside = isFor(outside.map((each) => each.outside ?? each.route));
  const usedBy = usersOf(isInside, isOutside, outside.length > 0);
  const state = stateOf(endpoint, usedBy !== 'nobody');
  if (usedBy === 'everybody') return { state, usedBy };
  return { state, usedBy, leftOut: whyLeftOut(endpoint, port, usedBy, locality) };
}

/** Of a family that the Service has no address of. */
export function useOfOtherFamily(endpoint: Endpoint): EndpointUse {
  return { state: stateOf(endpoint, false), usedBy: 'nobody', leftOut: 'otherFamily' };
}

function usersOf(
  isInside: boolean,
  isOutside: boolean,
  hasOutside: boolean,
): EndpointUse['usedBy'] {
  if (isInside) return isOutside || !hasOutside ? 'everybody' : 'cluster';
  return isOutside ? 'outside' : 'nobody';
}

function stateOf({ target }: Endpoint, isUsed: boolean): EndpointUse['state'] {
  if (target.isReady) return 'ready';
  if (target.isTerminating) return isUsed ? 'draining' : 'terminating';
  return 'notReady';
}

/** The reasons in the order in which `categorizeEndpoints` and `weigh` apply them. */
function whyLeftOut(
  { target }: Endpoint,
  port: ServicePort,
  usedBy: EndpointUse['usedBy'],
  locality: NodeLocality,
): LeftOut {
  // Nothing but policy Local keeps outside clients from what the cluster uses.
  if (usedBy === 'cluster') return target.isLocal ? 'noWeight' : 'otherNode';
  if (!target.isReady) return target.isTerminating ? 'terminating' : 'notReady';
  const isLocalOnly =
    usedBy === 'outside' ? port.policy.isInternalLocal : !usesClusterEndpoints(port);
  if (isLocalOnly && !target.isLocal) return 'otherNode';
  return hintReason(target, locality);
}

function hintReason(
  { nodeHints, zoneHints }: Endpoint['target'],
  { nodeName, zone }: NodeLocality,
): LeftOut {
  if (zoneHints.length > 0 && !zoneHints.includes(zone ?? '')) return 'otherZone';
  return nodeHints.length > 0 && !nodeHints.includes(nodeName) ? 'hintedElsewhere' : 'noWeight';
}
