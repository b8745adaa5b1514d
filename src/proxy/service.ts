/**
 * Services as the proxy sees them: one ServicePort per port and address family. Field rules follow
 * kube-proxy's pkg/proxy/serviceport.go and util/utils.go.
 */
import { objectKey, SERVICE_PROXY_NAME_LABEL } from '../kube/resources.ts';
import type {
  Protocol as ApiProtocol,
  Service,
  ServicePort as ServicePortSpec,
  ServiceSpec,
} from '../kube/types.ts';
import { type Cidr, cidrFamily, parseSloppyCidr, prefixLength } from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, parseSloppyIP } from '../net/ip.ts';
import { specialKind } from '../net/special.ts';
import { type Balancing, parseBalancing } from './balancing.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** Of the IP header. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** What all ports of one Service share in one address family. */
export interface ServicePolicy extends Balancing {
  readonly externalIPs: readonly IP[];
  /** Ingress addresses of mode VIP. */
  readonly loadBalancerIPs: readonly IP[];
  /** Empty: every source may use the load balancer addresses. */
  readonly sourceRanges: readonly Cidr[];
  /** Set for `sessionAffinity: ClientIP`. */
  readonly affinitySeconds: number | undefined;
  readonly isInternalLocal: boolean;
  /** True only when the Service is of a type that outside clients can reach. */
  readonly isExternalLocal: boolean;
  /** Set for a LoadBalancer with `externalTrafficPolicy: Local`. */
  readonly healthCheckNodePort: number | undefined;
}

export interface ServicePort {
  /** `namespace/name:port`, or `namespace/name` for an unnamed port. */
  readonly name: string;
  /** The key of its Service, `namespace/name`. */
  readonly service: string;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly clusterIP: IP;
  readonly port: number;
  /** 0 when it has none. */
  readonly nodePort: number;
  readonly policy: ServicePolicy;
}

/** One Service in one address family. */
export interface ServiceEntry {
  /** RFC 3339, or '' when the object does not say. */
  readonly createdAt: string;
  readonly ports: readonly ServicePort[];
}

const FAMILIES: readonly IPFamily[] = [4, 6];
const DEFAULT_AFFINITY_SECONDS = 10_800;
const MOST_AFFINITY_SECONDS = 86_400;

/** The API's protocol in the spelling of rules and frontends. */
export const PROTOCOLS: Readonly<Record<ApiProtocol, Protocol>> = {
  TCP: 'tcp',
  UDP: 'udp',
  SCTP: 'sctp',
};

/**
 * Derives what each address family has of a Service. A family is absent when it has nothing: the
 * Service is headless, ExternalName, labelled for another proxy, or without a clusterIP of it.
 */
export function parseService(service: Service): ReadonlyMap<IPFamily, ServiceEntry> {
  const { metadata, spec } = service;
  const entries = new Map<IPFamily, ServiceEntry>();
  if (spec.type === 'ExternalName') return entries;
  if (metadata.labels?.[SERVICE_PROXY_NAME_LABEL] !== undefined) return entries;
  const key = objectKey(service);
  const createdAt = metadata.creationTimestamp ?? '';
  const { problems: _, ...balancing } = parseBalancing(service);
  const distinct = distinctPorts(spec.ports ?? []);
  for (const family of FAMILIES) {
    const clusterIP = clusterIPOf(spec, family);
    if (clusterIP === undefined) continue;
    const policy = parsePolicy(service, balancing, family);
    const ports = distinct.map(({ name: portName = '', protocol, port, nodePort = 0 }) => ({
      name: portName === '' ? key : `${key}:${portName}`,
      service: key,
      portName,
      protocol: PROTOCOLS[protocol],
      clusterIP,
      port,
      nodePort,
      policy,
    }));
    entries.set(family, { createdAt, ports });
  }
  return entries;
}

/** What of a Service is passed over by `parseService`, in words; for both families. */
export function serviceProblems(service: Service): readonly string[] {
  const { spec, status } = service;
  const ingress = status?.loadBalancer?.ingress?.map(({ ip }) => ip) ?? [];
  const addresses = new Set([
    ...[spec.clusterIP, ...(spec.clusterIPs ?? [])],
    ...[...(spec.externalIPs ?? []), ...ingress],
  ]);
  const problems = [...parseBalancing(service).problems];
  for (const text of addresses) {
    const ip = text === undefined ? undefined : parseSloppyIP(text);
    const special = ip && specialKind(ip);
    if (special !== undefined) problems.push(`${text} is a ${special} address`);
  }
  const { ports = [] } = spec;
  const distinct = new Set(distinctPorts(ports));
  for (const port of ports) {
    if (!distinct.has(port)) problems.push(`port ${port.port}/${port.protocol} is there before`);
  }
  return problems;
}

/**
 * A protocol and port counts once, as for the API server, and so does a NodePort. Manifests may have
 * thousands of the same.
 */
function distinctPorts(ports: readonly ServicePortSpec[]): readonly ServicePortSpec[] {
  const seen = new Set<string>();
  return ports.filter(({ protocol, port, nodePort = 0 }) => {
    const keys = [
      `${protocol} ${port}`,
      ...(nodePort === 0 ? [] : [`node ${protocol} ${nodePort}`]),
    ];
    if (keys.some((key) => seen.has(key))) return false;
    for (const key of keys) seen.add(key);
    return true;
  });
}

/** Whether clients outside the cluster can reach the port at all. */
export function isExternallyAccessible({ nodePort, policy }: ServicePort): boolean {
  return nodePort !== 0 || policy.loadBalancerIPs.length > 0 || policy.externalIPs.length > 0;
}

/** Whether some traffic of the port may go to endpoints on any node. */
export function usesClusterEndpoints(port: ServicePort): boolean {
  return !port.policy.isInternalLocal || isExternallyAccessible(port);
}

/** Whether some traffic of the port must stay on this node. */
export function usesLocalEndpoints(port: ServicePort): boolean {
  const { isInternalLocal, isExternalLocal } = port.policy;
  return isInternalLocal || (isExternalLocal && isExternallyAccessible(port));
}

/** Objects of API servers without dual stack have no ipFamilies and a single clusterIP. */
function clusterIPOf(spec: ServiceSpec, family: IPFamily): IP | undefined {
  if (spec.clusterIP === undefined || spec.clusterIP === '' || spec.clusterIP === 'None') {
    return undefined;
  }
  const families = spec.ipFamilies ?? [];
  const index = families.indexOf(family === 4 ? 'IPv4' : 'IPv6');
  if (families.length > 0 && index < 0) return undefined;
  const text = families.length === 0 ? spec.clusterIP : spec.clusterIPs?.[index];
  return text === undefined ? undefined : usableIPs([text], family)[0];
}

function parsePolicy(
  { spec, status }: Service,
  balancing: Balancing,
  family: IPFamily,
): ServicePolicy {
  const ingress = status?.loadBalancer?.ingress ?? [];
  const vips = ingress.flatMap(({ ip, ipMode }) =>
    ip !== undefined && (ipMode ?? 'VIP') === 'VIP' ? [ip] : [],
  );
  const externalIPs = usableIPs(spec.externalIPs ?? [], family);
  const isReachable =
    spec.type === 'LoadBalancer' || spec.type === 'NodePort' || externalIPs.length > 0;
  const isExternalLocal = spec.externalTrafficPolicy === 'Local' && isReachable;
  const healthCheckNodePort = spec.healthCheckNodePort ?? 0;
  const hasHealthCheck =
    spec.type === 'LoadBalancer' && isExternalLocal && healthCheckNodePort !== 0;
  return {
    externalIPs,
    loadBalancerIPs: usableIPs(vips, family),
    sourceRanges: sourceRangesOf(spec.loadBalancerSourceRanges ?? [], family),
    affinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? affinitySeconds(spec.sessionAffinityConfig?.clientIP?.timeoutSeconds)
        : undefined,
    ...balancing,
    isInternalLocal: spec.internalTrafficPolicy === 'Local',
    isExternalLocal,
    healthCheckNodePort: hasHealthCheck ? healthCheckNodePort : undefined,
  };
}

/** The API server admits nothing outside of these bounds; a file of manifests may. */
function affinitySeconds(configured = DEFAULT_AFFINITY_SECONDS): number {
  return Math.min(Math.max(configured, 1), MOST_AFFINITY_SECONDS);
}

/** Special addresses are nobody's to serve on: rules for 127.0.0.1 would take the node's own traffic. */
function usableIPs(texts: readonly string[], family: IPFamily): readonly IP[] {
  const addresses = new Set<IP>();
  for (const text of texts) {
    const ip = parseSloppyIP(text);
    if (ip === undefined || ipFamily(ip) !== family || specialKind(ip) !== undefined) continue;
    addresses.add(ip);
  }
  return [...addresses];
}

/** A range of length 0 admits everybody, so the other ranges say nothing and the list is empty. */
function sourceRangesOf(texts: readonly string[], family: IPFamily): readonly Cidr[] {
  const ranges = new Set<Cidr>();
  for (const text of texts) {
    const range = parseSloppyCidr(text.trim());
    if (range === undefined || cidrFamily(range) !== family) continue;
    if (prefixLength(range) === 0) return [];
    ranges.add(range);
  }
  return [...ranges];
}
