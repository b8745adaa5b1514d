/** Services as the proxy serves them, a part at a time: one of 10,000 costs what its own ports cost. */
import type { IP, IPFamily } from '../../../net/ip.ts';
import { type Frontend, FrontendClaims, frontendsOf } from '../../../proxy/claims.ts';
import type { ServiceCounts } from '../../../proxy/counters/service-counts.ts';
import { endpointUse, useOfOtherFamily } from '../../../proxy/endpoint-use.ts';
import { type Endpoint, mergeEndpoints } from '../../../proxy/endpoints.ts';
import type { ServiceEntry, ServicePort } from '../../../proxy/service.ts';
import type { ProxySnapshot } from '../../../proxy/snapshot.ts';
import { type ResolvedPort, resolvePort } from '../../../proxy/state.ts';
import type {
  ListedEndpoint,
  ListedFrontend,
  ListedPort,
  ListedService,
  ServiceDetail,
} from './values.ts';

export interface ServiceFacts {
  readonly snapshots: ReadonlyMap<IPFamily, ProxySnapshot>;
  /** Undefined where the mode counts nothing. */
  readonly counts: ServiceCounts | undefined;
  /** `namespace/name` of the pod of this node that has the address. */
  readonly podAt: (ip: IP) => string | undefined;
}

/** One Service in one family. */
interface Served {
  readonly snapshot: ProxySnapshot;
  readonly entry: ServiceEntry;
  readonly ports: readonly ResolvedPort[];
}

/** What the proxy has of a Service, by `namespace/name`; undefined: it serves none of that name. */
export function listedService(key: string, facts: ServiceFacts): ListedService | undefined {
  const served = servedIn(key, facts);
  return served.length === 0 ? undefined : summary(key, served, facts);
}

/** The same, and each of its endpoints. */
export function serviceDetail(key: string, facts: ServiceFacts): ServiceDetail | undefined {
  const served = servedIn(key, facts);
  if (served.length === 0) return undefined;
  return { ...summary(key, served, facts), endpoints: endpointsOf(key, served, facts) };
}

/** All endpoints that slices list for a Service, whether or not anybody is led there. */
export function listedEndpoints(key: string, facts: ServiceFacts): readonly ListedEndpoint[] {
  return endpointsOf(key, servedIn(key, facts), facts);
}

function servedIn(key: string, { snapshots }: ServiceFacts): readonly Served[] {
  return [...snapshots.values()].flatMap((snapshot) => {
    const entry = snapshot.service(key);
    if (entry === undefined) return [];
    // Who has a frontend is said apart; here each port resolves as if it had its own.
    const claims = new FrontendClaims();
    claims.update([], entry);
    const slices = [...snapshot.slices(key)];
    const ports = entry.ports.map((port) => resolvePort(port, slices, claims, snapshot.node));
    return [{ snapshot, entry, ports }];
  });
}

function summary(key: string, served: readonly Served[], facts: ServiceFacts): ListedService {
  const [namespace = '', name = ''] = key.split('/');
  const all = served.flatMap(({ entry }) => entry.ports);
  const policy = all[0]?.policy;
  const ports = served.flatMap((each) => each.ports.map((port) => listedPort(port, each, facts)));
  const createdAt = served[0]?.entry.createdAt;
  return {
    namespace,
    name,
    ...(createdAt ? { createdAt } : {}),
    isPending: served.some(({ snapshot }) => snapshot.pending.has(key)),
    ...totalsOf(ports),
    internalTrafficPolicy: policy?.isInternalLocal ? 'Local' : 'Cluster',
    externalTrafficPolicy: policy?.isExternalLocal ? 'Local' : 'Cluster',
    ...(policy?.affinitySeconds === undefined ? {} : { affinitySeconds: policy.affinitySeconds }),
    ...(policy?.healthCheckNodePort === undefined
      ? {}
      : { healthCheckNodePort: policy.healthCheckNodePort }),
    sourceRanges: [...new Set(all.flatMap((port) => port.policy.sourceRanges))],
    ports,
  };
}

function totalsOf(ports: readonly ListedPort[]): Pick<ListedService, 'connections' | 'refused'> {
  const counted = ports.flatMap(({ frontends }) =>
    frontends.flatMap(({ connections, refused }) =>
      connections === undefined || refused === undefined ? [] : [{ connections, refused }],
    ),
  );
  if (counted.length === 0) return {};
  const sum = (of: (one: (typeof counted)[number]) => number) =>
    counted.reduce((total, each) => total + of(each), 0);
  return {
    connections: sum(({ connections }) => connections),
    refused: {
      noEndpoints: sum(({ refused }) => refused.noEndpoints),
      noLocalEndpoints: sum(({ refused }) => refused.noLocalEndpoints),
      sourceRange: sum(({ refused }) => refused.sourceRange),
    },
  };
}

function listedPort(resolved: ResolvedPort, { snapshot }: Served, facts: ServiceFacts): ListedPort {
  const { port, endpoints, frontends } = resolved;
  const reached = new Set(
    frontends.flatMap(({ route, outside }) => [...route.endpoints, ...(outside?.endpoints ?? [])]),
  );
  return {
    name: port.portName,
    family: snapshot.family,
    protocol: port.protocol,
    port: port.port,
    frontends: frontendsOf(port).map((each) => listedFrontend(each, port, snapshot, facts)),
    endpoints: { used: reached.size, total: endpoints.length },
  };
}

function listedFrontend(
  frontend: Frontend,
  port: ServicePort,
  snapshot: ProxySnapshot,
  { counts }: ServiceFacts,
): ListedFrontend {
  const owner = snapshot.ownerOf(frontend);
  const isTaken = owner !== undefined && owner.service !== port.service;
  const counted = isTaken ? undefined : counts?.ofFrontend(snapshot.family, port.name, frontend);
  return {
    kind: frontend.kind,
    ...(frontend.kind === 'nodePort' ? {} : { ip: frontend.ip }),
    port: frontend.port,
    ...(isTaken ? { takenBy: owner.service } : {}),
    ...(counted === undefined ? {} : counted),
  };
}

function endpointsOf(
  key: string,
  served: readonly Served[],
  facts: ServiceFacts,
): readonly ListedEndpoint[] {
  const [namespace = '', service = ''] = key.split('/');
  const listed = (endpoint: Endpoint, port: ServicePort, snapshot: ProxySnapshot) => {
    const { target } = endpoint;
    const pod = facts.podAt(target.ip);
    const connections = facts.counts?.ofEndpoint(snapshot.family, port, endpoint);
    return {
      ...{ namespace, service, portName: port.portName, protocol: port.protocol },
      ...{ family: snapshot.family, ip: target.ip, port: endpoint.port },
      ...(pod === undefined ? {} : { pod }),
      ...(target.nodeName === undefined ? {} : { node: target.nodeName }),
      ...(target.zone === undefined ? {} : { zone: target.zone }),
      isLocal: target.isLocal,
      ...(connections === undefined ? {} : { connections }),
    };
  };
  const own = served.flatMap(({ ports, snapshot }) =>
    ports.flatMap((resolved) =>
      resolved.endpoints.map((endpoint) => ({
        ...listed(endpoint, resolved.port, snapshot),
        ...endpointUse(endpoint, resolved, snapshot.node),
      })),
    ),
  );
  return [...own, ...ofOtherFamilies(key, served, facts, listed)];
}

/** Slices of a family that the Service has no clusterIP of: nobody is led to what they list. */
function ofOtherFamilies(
  key: string,
  served: readonly Served[],
  { snapshots }: ServiceFacts,
  listed: (
    endpoint: Endpoint,
    port: ServicePort,
    snapshot: ProxySnapshot,
  ) => Omit<ListedEndpoint, 'state' | 'usedBy' | 'leftOut'>,
): readonly ListedEndpoint[] {
  const [first] = served;
  if (first === undefined) return [];
  const others = [...snapshots.values()].filter((each) => each.service(key) === undefined);
  return others.flatMap((snapshot) => {
    const slices = [...snapshot.slices(key)];
    return first.entry.ports.flatMap((port) =>
      mergeEndpoints(slices, port.portName, port.protocol).map((endpoint) => ({
        ...listed(endpoint, port, snapshot),
        ...useOfOtherFamily(endpoint),
      })),
    );
  });
}
