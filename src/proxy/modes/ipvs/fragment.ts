/**
 * What one ServicePort needs in the kernel: a virtual server at each portal that leads somewhere,
 * and the entries of sets by which rules masquerade, refuse and drop.
 */
import { type Cidr, containsIP } from '../../../net/cidr.ts';
import type { IP } from '../../../net/ip.ts';
import type { ResolvedFrontend, ResolvedPort, Route } from '../../state.ts';
import type { IpvsPart, Portal, WantedServer } from './model.ts';
import { type Scheduling, schedulingsOf } from './schedulers.ts';
import type { SetEntry, SetRoleName } from './sets.ts';

export interface IpvsPartOptions {
  /** The node's own addresses that accept NodePorts. */
  readonly nodePortIPs: readonly IP[];
  /** Addresses that belong to somebody else's virtual servers. */
  readonly excludeCIDRs: readonly Cidr[];
  readonly scheduling: Scheduling;
}

export function renderPort(resolved: ResolvedPort, options: IpvsPartOptions): IpvsPart {
  const fragments = resolved.frontends.map((frontend) =>
    renderFrontend(resolved, frontend, options),
  );
  const { healthCheckNodePort: healthCheck } = resolved.port.policy;
  return joinParts([
    ...fragments,
    {
      ...NOTHING,
      entries: [
        ...hairpinEntries(resolved),
        ...(healthCheck === undefined ? [] : [portEntry('healthCheck', healthCheck)]),
      ],
    },
  ]);
}

export function joinParts(fragments: readonly IpvsPart[]): IpvsPart {
  return {
    servers: fragments.flatMap(({ servers }) => servers),
    entries: fragments.flatMap(({ entries }) => entries),
    addresses: fragments.flatMap(({ addresses }) => addresses),
  };
}

const NOTHING: IpvsPart = { servers: [], entries: [], addresses: [] };

function renderFrontend(
  resolved: ResolvedPort,
  frontend: ResolvedFrontend,
  options: IpvsPartOptions,
): IpvsPart {
  const portals = portalsOf(frontend, options);
  if (portals.length === 0) return NOTHING;
  const { isServed, route, answer } = outcomeOf(frontend);
  const isNodePort = frontend.frontend.kind === 'nodePort';
  const makeServer = (portal: Portal): WantedServer => ({
    portal,
    schedulings: schedulingsOf(resolved.port, options.scheduling),
    persistenceSeconds: resolved.port.policy.affinitySeconds ?? 0,
    destinations: destinationsOf(route),
    isNodePort,
  });
  return {
    servers: isServed ? portals.map(makeServer) : [],
    entries: [
      ...portals.flatMap((portal) => frontendEntries(frontend, portal)),
      ...(answer === undefined ? [] : portals.map((portal) => portalEntry(answer, portal))),
    ],
    addresses: isNodePort ? [] : portals.map(({ ip }) => ip),
  };
}

function portalsOf(
  { frontend }: ResolvedFrontend,
  { nodePortIPs, excludeCIDRs }: IpvsPartOptions,
): readonly Portal[] {
  const { protocol, port } = frontend;
  const ips = frontend.kind === 'nodePort' ? nodePortIPs : [frontend.ip];
  const isExcluded = (ip: IP) => excludeCIDRs.some((cidr) => containsIP(cidr, ip));
  return ips.filter((ip) => !isExcluded(ip)).map((ip) => ({ ip, protocol, port }));
}

/**
 * A virtual server asks nobody who he is. Clients outside decide where a policy sends them to other
 * endpoints than pods of this node: with endpoints here everybody uses them, without any the pods
 * use the others and those outside meet silence.
 */
function outcomeOf({ route, outside }: ResolvedFrontend): {
  readonly isServed: boolean;
  readonly route: Route;
  /** What rules do before the virtual server is asked. */
  readonly answer: SetRoleName | undefined;
} {
  const deciding = outside ?? route;
  if (deciding.endpoints.length > 0) return { isServed: true, route: deciding, answer: undefined };
  const isServed = route.endpoints.length > 0;
  if (deciding.whenEmpty === 'reject') return { isServed, route, answer: 'refused' };
  return { isServed, route, answer: isServed ? 'silentOutside' : 'silent' };
}

function destinationsOf({ endpoints, weights }: Route): WantedServer['destinations'] {
  return endpoints.map(({ target, port }, i) => ({
    ip: target.ip,
    port,
    weight: weights?.[i] ?? 1,
  }));
}

/** What rules have to know of a frontend, whether or not it has endpoints. */
function frontendEntries(resolved: ResolvedFrontend, portal: Portal): readonly SetEntry[] {
  const isLocal = resolved.masquerading === 'node';
  const { kind } = resolved.frontend;
  switch (kind) {
    case 'clusterIP':
      return [portalEntry('clusterIP', portal)];
    case 'externalIP':
      return [portalEntry(isLocal ? 'externalIPLocal' : 'externalIP', portal)];
    case 'loadBalancerIP':
      return [
        portalEntry('loadBalancer', portal),
        ...(isLocal ? [portalEntry('loadBalancerLocal', portal)] : []),
        ...rangeEntries(resolved, portal),
      ];
    case 'nodePort':
      return nodePortEntries(portal, isLocal);
  }
}

function rangeEntries({ allowedSources }: ResolvedFrontend, portal: Portal): readonly SetEntry[] {
  if (allowedSources.length === 0) return [];
  const ranges = allowedSources.map((net): SetEntry => {
    return { role: 'range', entry: { type: 'hash:ip,port,net', ...portal, net } };
  });
  return [portalEntry('ranged', portal), ...ranges];
}

function nodePortEntries(portal: Portal, isLocal: boolean): readonly SetEntry[] {
  const { protocol, port } = portal;
  switch (protocol) {
    case 'tcp':
      return [
        portEntry('nodePortTcp', port),
        ...(isLocal ? [portEntry('nodePortLocalTcp', port)] : []),
      ];
    case 'udp':
      return [
        portEntry('nodePortUdp', port),
        ...(isLocal ? [portEntry('nodePortLocalUdp', port)] : []),
      ];
    case 'sctp':
      return [
        portalEntry('nodePortSctp', portal),
        ...(isLocal ? [portalEntry('nodePortLocalSctp', portal)] : []),
      ];
  }
}

/** An endpoint that a pod of this node may reach itself by. */
function hairpinEntries({ port, localEndpoints }: ResolvedPort): readonly SetEntry[] {
  return localEndpoints.map(({ target: { ip }, port: targetPort }): SetEntry => {
    const place = { ip, protocol: port.protocol, port: targetPort };
    return { role: 'hairpin', entry: { type: 'hash:ip,port,ip', ...place, ip2: ip } };
  });
}

/** An entry that names an address, protocol and port. */
export function portalEntry(role: SetRoleName, portal: Portal): SetEntry {
  return { role, entry: { type: 'hash:ip,port', ...portal } };
}

function portEntry(role: SetRoleName, port: number): SetEntry {
  return { role, entry: { type: 'bitmap:port', port } };
}
