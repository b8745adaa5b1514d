import { containsIP } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { Endpoint, SliceEndpoint } from '../endpoints.ts';
import type { ResolvedFrontend, Route } from '../state.ts';
import type {
  Candidate,
  Decision,
  Explanation,
  FrontendMap,
  MasqueradeReason,
  Packet,
  PacketVerdict,
} from './explanation.ts';
import { masqueradeReason, masquerades, sourceReason } from './masquerade.ts';
import { pick } from './shares.ts';
import {
  acceptsNodePorts,
  addressKeyOf,
  isFromNode,
  nodePortKeyOf,
  type OwnedFrontend,
  originOf,
  podSign,
  type World,
} from './world.ts';

/**
 * What becomes of the first packet of a connection, and the decisions that lead there, computed
 * from the same resolved values that the rules are rendered from. The packet is of the world's
 * address family.
 */
export function decide(packet: Packet, world: World): Explanation {
  const origin: Decision = { kind: 'origin', ...originOf(world, packet) };
  const found = findFrontend(packet, world);
  if (found === undefined) {
    const { decisions, verdict } = decideWithoutFrontend(packet, world);
    return { packet, decisions: [origin, ...decisions], verdict };
  }
  const ranges = checkSourceRanges(packet, found.resolved);
  const hit: Decision = {
    kind: 'frontend',
    map: mapOf(found),
    key: found.key,
    servicePort: found.owner.port.name,
    frontend: found.resolved.frontend.kind,
  };
  if (ranges?.admittedBy === undefined && ranges !== undefined) {
    const verdict = silence(packet, world, found);
    return { packet, decisions: [origin, hit, ranges], verdict };
  }
  const { decisions, verdict } = decideRoute(packet, world, found);
  const admitted = ranges === undefined ? [] : [ranges];
  return { packet, decisions: [origin, hit, ...admitted, ...decisions], verdict };
}

interface FoundFrontend extends OwnedFrontend {
  readonly key: string;
}

interface Outcome {
  readonly decisions: readonly Decision[];
  readonly verdict: PacketVerdict;
}

function findFrontend(packet: Packet, world: World): FoundFrontend | undefined {
  const key = addressKeyOf(packet);
  const atAddress = world.frontends.get(key);
  if (atAddress !== undefined) return { ...atAddress, key };
  if (!acceptsNodePorts(world, packet.destination)) return undefined;
  const nodePortKey = nodePortKeyOf(packet);
  const atNodePort = world.frontends.get(nodePortKey);
  if (atNodePort === undefined) return undefined;
  return { ...atNodePort, key: nodePortKey };
}

/** Who asks nothing about its clients and has no endpoints is found only where it is refused. */
function mapOf({ resolved }: FoundFrontend): FrontendMap {
  const { frontend, route, outside, allowedSources } = resolved;
  const isRefused =
    route.endpoints.length === 0 && outside === undefined && allowedSources.length === 0;
  if (frontend.kind === 'nodePort')
    return isRefused ? 'no-endpoint-nodeports' : 'service-nodeports';
  return isRefused ? 'no-endpoint-services' : 'service-ips';
}

/**
 * A clusterIP answers for ports it has not; an address of the Service networks is nobody else's.
 * What the node has bound itself is served by a program there: caches of DNS do that.
 */
function decideWithoutFrontend(packet: Packet, world: World): Outcome {
  const { destination } = packet;
  const missed: Decision = {
    kind: 'noFrontend',
    key: addressKeyOf(packet),
    nodePortOf: world.frontends.get(nodePortKeyOf(packet))?.owner.port.name,
  };
  if (world.localAddresses.includes(destination) && !isFromNode(world, packet)) {
    return { decisions: [missed], verdict: { kind: 'pass' } };
  }
  const owners = world.clusterIPs.get(destination);
  if (owners !== undefined) {
    const servicePorts = owners.map(({ port }) => port.name);
    const decisions = [missed, { kind: 'clusterIP', servicePorts } as const];
    const isRouted = world.traits?.leavesToRouting.otherPorts === true;
    return { decisions, verdict: { kind: isRouted ? 'pass' : 'reject' } };
  }
  const cidr = world.serviceCIDRs.find((network) => containsIP(network, destination));
  if (cidr === undefined) return { decisions: [missed], verdict: { kind: 'pass' } };
  const isRouted = world.traits?.leavesToRouting.unusedAddresses === true;
  const verdict = { kind: isRouted ? 'pass' : 'drop' } as const;
  return { decisions: [missed, { kind: 'serviceCIDR', cidr }], verdict };
}

/** A process that takes TCP connections can only take them or not: it learns of them too late. */
function silence({ protocol }: Packet, { traits }: World, found: FoundFrontend): PacketVerdict {
  if (traits?.isForwarder !== true || protocol !== 'tcp') return { kind: 'drop' };
  const { route, outside } = found.resolved;
  const isTaken = [route, outside ?? route].some(({ endpoints }) => endpoints.length > 0);
  return { kind: isTaken ? 'reset' : 'reject' };
}

function checkSourceRanges({ source }: Packet, { allowedSources: ranges }: ResolvedFrontend) {
  if (ranges.length === 0) return undefined;
  const admittedBy = ranges.find((range) => containsIP(range, source));
  return { kind: 'sourceRanges', ranges, admittedBy } as const;
}

function decideRoute(packet: Packet, world: World, found: FoundFrontend): Outcome {
  const { resolved, owner } = found;
  const isOfThisNode = isFromNode(world, packet) || podSign(world, packet) !== undefined;
  const isAlike = world.traits?.hasOneRoute === true && hasEndpoints(resolved.outside);
  const isShortCircuit = resolved.outside !== undefined && isOfThisNode && !isAlike;
  const route = isOfThisNode && !isAlike ? resolved.route : (resolved.outside ?? resolved.route);
  const policy = policyOf(found);
  const isLocalOnly = policy.value === 'Local' && !isShortCircuit;
  const scope = isLocalOnly ? 'node' : 'cluster';
  const decisions: Decision[] = [{ ...policy, isShortCircuit }];
  if (route.endpoints.length === 0) {
    decisions.push({ kind: 'noEndpoints', scope, answer: route.whenEmpty });
    const isSilent = route.whenEmpty === 'drop';
    return { decisions, verdict: isSilent ? silence(packet, world, found) : { kind: 'reject' } };
  }
  const { affinitySeconds } = owner.port.policy;
  if (affinitySeconds !== undefined) {
    decisions.push({ kind: 'affinity', seconds: affinitySeconds });
  }
  const { shares, ...picking } = pick(route, owner.port.policy.balance, packet.source);
  decisions.push({ kind: 'endpoints', count: route.endpoints.length, scope, ...picking });
  const usual = masqueradeReason(packet, world, resolved.masquerading);
  const candidates = candidatesOf(route, shares, (target) =>
    sourceReason(packet, world, target, usual),
  );
  return {
    decisions: [...decisions, ...masqueradeDecisions(candidates)],
    verdict: { kind: 'dnat', candidates },
  };
}

function hasEndpoints(route: Route | undefined): boolean {
  return route !== undefined && route.endpoints.length > 0;
}

function policyOf({ resolved, owner }: FoundFrontend) {
  const { isInternalLocal, isExternalLocal } = owner.port.policy;
  const isInternal = resolved.frontend.kind === 'clusterIP';
  const isLocal = isInternal ? isInternalLocal : isExternalLocal;
  return {
    kind: 'trafficPolicy',
    policy: isInternal ? 'internal' : 'external',
    value: isLocal ? 'Local' : 'Cluster',
  } as const;
}

function candidatesOf(
  route: Route,
  shares: readonly number[],
  reasonFor: (target: SliceEndpoint) => MasqueradeReason,
): readonly Candidate[] {
  return route.endpoints.map(({ target, port }: Endpoint, i): Candidate => {
    const because = reasonFor(target);
    return {
      ip: target.ip,
      port,
      isLocal: target.isLocal,
      probability: shares[i] ?? 0,
      isMasqueraded: masquerades(because),
      because,
    };
  });
}

/** One decision when all candidates share it, else one per reason. */
function masqueradeDecisions(candidates: readonly Candidate[]): readonly Decision[] {
  const byReason = Map.groupBy(candidates, ({ because }) => because);
  return Array.from(byReason, ([because, group]): Decision => {
    const endpoints: readonly IP[] | undefined =
      byReason.size === 1 ? undefined : group.map(({ ip }) => ip);
    return { kind: 'masquerade', because, isMasqueraded: masquerades(because), endpoints };
  });
}
