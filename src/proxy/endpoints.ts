/**
 * EndpointSlices as the proxy sees them: one compact record per slice, merged per Service port
 * when needed. Field rules follow kube-proxy's pkg/proxy/endpointslicecache.go.
 */
import { SERVICE_NAME_LABEL, TRIGGER_TIME_ANNOTATION } from '../kube/resources.ts';
import type { EndpointSlice, Endpoint as EndpointSpec } from '../kube/types.ts';
import { type IP, type IPFamily, ipFamily, parseSloppyIP } from '../net/ip.ts';
import { specialKind } from '../net/special.ts';
import { PROTOCOLS, type Protocol } from './service.ts';

/** One address of a slice with what decides whether it is used; shared by all ports of the slice. */
export interface SliceEndpoint {
  readonly ip: IP;
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  /** It runs on this node. */
  readonly isLocal: boolean;
  readonly nodeName: string | undefined;
  readonly zone: string | undefined;
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

export interface SlicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface SliceRecord {
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
}

/** Where a slice belongs. */
export interface SliceIdentity {
  readonly family: IPFamily;
  /** Key of its Service. */
  readonly service: string;
  /** Unique within the namespace. */
  readonly name: string;
}

export interface ParsedSlice extends SliceIdentity {
  readonly record: SliceRecord;
  /** When the cluster changed it (ms); NaN where nobody says. */
  readonly changedAtMs: number;
  /** Why some of its endpoints were left out, for the log. */
  readonly warnings: readonly string[];
}

/** Where one new connection may go. */
export interface Endpoint {
  readonly target: SliceEndpoint;
  readonly port: number;
}

const NONE: readonly string[] = [];

/** Reads a slice; undefined when it has no address family or belongs to no Service. */
export function parseSlice(slice: EndpointSlice, nodeName: string): ParsedSlice | undefined {
  const identity = sliceIdentity(slice);
  if (identity === undefined) return undefined;
  const warnings: string[] = [];
  const endpoints: SliceEndpoint[] = [];
  for (const spec of slice.endpoints) {
    const text = spec.addresses[0];
    const ip = text === undefined ? undefined : parseSloppyIP(text);
    if (ip === undefined || ipFamily(ip) !== identity.family) {
      warnings.push(text === undefined ? 'endpoint without address' : `bad address ${text}`);
      continue;
    }
    const special = specialKind(ip);
    if (special !== undefined) {
      warnings.push(`${special} address ${text}`);
      continue;
    }
    endpoints.push(parseEndpoint(spec, ip, nodeName));
  }
  const changedAtMs = Date.parse(slice.metadata.annotations?.[TRIGGER_TIME_ANNOTATION] ?? '');
  const record = { ports: slicePorts(slice), endpoints };
  return { ...identity, record, changedAtMs, warnings };
}

const FAMILY_OF = { IPv4: 4, IPv6: 6, FQDN: undefined } as const;

/** Undefined for a slice of names, and for one without a Service. */
export function sliceIdentity({ addressType, metadata }: EndpointSlice): SliceIdentity | undefined {
  const { name, namespace, labels } = metadata;
  const family = FAMILY_OF[addressType];
  const serviceName = labels?.[SERVICE_NAME_LABEL];
  if (family === undefined || name === '' || namespace === '' || !serviceName) return undefined;
  return { family, name, service: `${namespace}/${serviceName}` };
}

/**
 * All endpoints the slices of one Service give for one port, each `ip:port` once, sorted by
 * address text. Of two with the same address the one that is not terminating wins: pod IPs get
 * reused while the old pod's slice entry lingers.
 */
export function mergeEndpoints(
  slices: Iterable<SliceRecord>,
  portName: string,
  protocol: Protocol,
): readonly Endpoint[] {
  const merged = new Map<string, Endpoint>();
  for (const { ports, endpoints } of slices) {
    for (const { name, protocol: portProtocol, port } of ports) {
      if (name !== portName || portProtocol !== protocol) continue;
      for (const target of endpoints) {
        const key = `${target.ip} ${port}`;
        if (!merged.has(key) || !target.isTerminating) merged.set(key, { target, port });
      }
    }
  }
  return [...merged.entries()]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, endpoint]) => endpoint);
}

function parseEndpoint(spec: EndpointSpec, ip: IP, nodeName: string): SliceEndpoint {
  const { conditions, hints } = spec;
  return {
    ip,
    isReady: conditions?.ready ?? true,
    isServing: conditions?.serving ?? true,
    isTerminating: conditions?.terminating ?? false,
    isLocal: nodeName !== '' && spec.nodeName === nodeName,
    nodeName: spec.nodeName,
    zone: spec.zone,
    zoneHints: hintNames(hints?.forZones),
    nodeHints: hintNames(hints?.forNodes),
  };
}

function hintNames(hints: readonly { readonly name: string }[] | undefined): readonly string[] {
  return hints === undefined || hints.length === 0 ? NONE : hints.map(({ name }) => name);
}

/** Without a name it is the unnamed port, as the API server's defaulting has it. */
function slicePorts(slice: EndpointSlice): readonly SlicePort[] {
  return slice.ports.flatMap(({ name = '', protocol, port }) =>
    port ? [{ name, protocol: PROTOCOLS[protocol], port }] : [],
  );
}
