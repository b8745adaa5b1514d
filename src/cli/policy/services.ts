/** Which pods are behind the Services of files: policies see those, never a Service's address. */
import { objectKey } from '../../kube/resources.ts';
import type { EndpointSlice, Node, Protocol, Service, ServiceCIDR } from '../../kube/types.ts';
import { type Cidr, containsIP, tryParseCidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import type { Party, Unresolved } from '../../policy/parties.ts';
import type { Traffic } from '../../policy/ports.ts';
import type { Behind, Services, VirtualService } from '../../policy/service-target.ts';
import { FrontendClaims, frontendsOf } from '../../proxy/claims.ts';
import { type Endpoint, mergeEndpoints, parseSlice, sliceIdentity } from '../../proxy/endpoints.ts';
import { parseNode } from '../../proxy/node-addresses.ts';
import { PROTOCOLS, parseService, type ServicePort } from '../../proxy/service.ts';
import { categorizeEndpoints, type NodeLocality } from '../../proxy/topology.ts';

export interface ServiceObjects {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly serviceCIDRs: readonly ServiceCIDR[];
  readonly nodes: readonly Node[];
}

const NOT_READ =
  'no Services are in the files: if this is the address of one, policies see the pods behind it instead';
/** Ports of a Service that are told when another is asked for. */
const MOST_PORTS = 10;

/** Services of one moment, with the endpoints that the proxy of the client's node would choose. */
export class FileServices implements Services {
  /** By name, and by clusterIP. */
  readonly #byName = new Map<string, ServicePort[]>();
  /** Services that have no address of their own. */
  readonly #without = new Map<string, string>();
  readonly #byOtherIP = new Map<IP, string>();
  readonly #claims = new FrontendClaims();
  readonly #slices: ReadonlyMap<string, readonly EndpointSlice[]>;
  readonly #zones: ReadonlyMap<string, string | undefined>;
  readonly #cidrs: readonly Cidr[];
  readonly #chosen = new Map<string, readonly Behind[]>();
  readonly noteOnAddress: string | undefined;

  constructor({ services, slices, serviceCIDRs, nodes }: ServiceObjects) {
    for (const service of services) this.#add(service);
    this.#slices = Map.groupBy(slices, (slice) => sliceIdentity(slice)?.service ?? '');
    this.#zones = new Map(nodes.map((node) => [node.metadata.name, parseNode(node).zone]));
    this.#cidrs = serviceCIDRs.flatMap(({ spec }) =>
      spec.cidrs.flatMap((text) => tryParseCidr(text) ?? []),
    );
    this.noteOnAddress = services.length === 0 ? NOT_READ : undefined;
  }

  named(text: string): VirtualService | Unresolved | undefined {
    const ip = tryParseIP(text);
    const ports = this.#byName.get(ip ?? text);
    if (ports !== undefined) return this.#virtual(text, ports);
    const without = this.#without.get(text);
    if (without !== undefined) return { problem: `Service ${text} ${without}` };
    return ip === undefined ? undefined : this.#unusedAddress(ip);
  }

  #add(service: Service): void {
    const key = objectKey(service);
    const entries = parseService(service);
    if (entries.size === 0) {
      this.#without.set(key, 'has no clusterIP: ask for the pods that its name leads to');
    }
    for (const entry of entries.values()) {
      this.#claims.update([], entry);
      for (const port of entry.ports) {
        for (const name of [key, port.clusterIP]) {
          this.#byName.set(name, [...(this.#byName.get(name) ?? []), port]);
        }
        for (const frontend of frontendsOf(port)) {
          if (frontend.kind === 'nodePort' || frontend.kind === 'clusterIP') continue;
          this.#byOtherIP.set(frontend.ip, key);
        }
      }
    }
  }

  /** What comes in by such an address may have its node's address when a pod sees it. */
  #unusedAddress(ip: IP): Unresolved | undefined {
    const owner = this.#byOtherIP.get(ip);
    if (owner !== undefined) {
      const problem = `${ip} is an external address of Service ${owner}: policies see the pods behind it; ask for ${owner}`;
      return { problem };
    }
    const cidr = this.#cidrs.find((network) => containsIP(network, ip));
    if (cidr === undefined) return undefined;
    const problem = `${ip} is of the Services' network ${cidr} and of no Service in the files: policies see pods behind Services, never their addresses`;
    return { problem };
  }

  #virtual(text: string, ports: readonly ServicePort[]): VirtualService {
    const services = new Set(ports.map(({ service }) => service));
    const name = `Service ${[...services].join(' and ')}`;
    return {
      name: services.has(text) ? name : `${text}, the clusterIP of ${name},`,
      families: [...new Set(ports.map(({ clusterIP }) => ipFamily(clusterIP)))],
      behind: (traffic, from, family) => this.#behind(name, ports, { traffic, from, family }),
    };
  }

  #behind(
    name: string,
    ports: readonly ServicePort[],
    { traffic, from, family }: Asked,
  ): readonly Behind[] | Unresolved {
    const { protocol, port: number } = traffic;
    if (protocol === 'ICMP') return { problem: `${name} hands on no ICMP to the pods behind it` };
    const found = ports.find((port) => this.#isMeant(port, protocol, number, family));
    if (found === undefined) {
      return {
        problem: `${name} has no port ${number}/${protocol.toLowerCase()}; it has ${portTexts(ports)}`,
      };
    }
    const chosen = this.#chosenFor(found, nodeOf(from), family);
    if (chosen.length > 0) return chosen;
    const why = this.#slices.has(found.service) ? 'is usable' : 'is in the files (EndpointSlices)';
    return {
      problem: `no endpoint of Service ${found.name} ${why}: there is no pod whose policies decide`,
    };
  }

  #isMeant(port: ServicePort, protocol: Protocol, number: number, family: IPFamily): boolean {
    if (port.port !== number || port.protocol !== PROTOCOLS[protocol]) return false;
    if (ipFamily(port.clusterIP) !== family) return false;
    const { clusterIP: ip, protocol: spelled } = port;
    const owner = this.#claims.ownerOf({ kind: 'clusterIP', ip, protocol: spelled, port: number });
    return owner === port;
  }

  #chosenFor(port: ServicePort, nodeName: string, family: IPFamily): readonly Behind[] {
    const key = `${port.name} ${port.protocol} ${family} ${nodeName}`;
    const known = this.#chosen.get(key);
    if (known !== undefined) return known;
    const records = (this.#slices.get(port.service) ?? []).flatMap((slice) => {
      const parsed = parseSlice(slice, nodeName);
      return parsed?.family === family ? [parsed.record] : [];
    });
    const endpoints = mergeEndpoints(records, port.portName, port.protocol);
    const chosen = choose(endpoints, port, { nodeName, zone: this.#zones.get(nodeName) }).map(
      ({ target, port: number }) => ({ ip: target.ip, port: number }),
    );
    this.#chosen.set(key, chosen);
    return chosen;
  }
}

interface Asked {
  readonly traffic: Traffic;
  readonly from: Party;
  readonly family: IPFamily;
}

/** Where a client is that is neither a pod nor a node, nobody knows. */
function nodeOf(from: Party): string {
  if (from.kind === 'pod') return from.nodeName ?? '';
  return from.kind === 'node' ? from.name : '';
}

/** With internalTrafficPolicy Local those of the client's node, where that is known. */
function choose(
  endpoints: readonly Endpoint[],
  port: ServicePort,
  locality: NodeLocality,
): readonly Endpoint[] {
  if (port.policy.isInternalLocal && locality.nodeName !== '') {
    return categorizeEndpoints(endpoints, port, locality).local;
  }
  const anywhere = { ...port, policy: { ...port.policy, isInternalLocal: false } };
  return categorizeEndpoints(endpoints, anywhere, locality).cluster;
}

function portTexts(ports: readonly ServicePort[]): string {
  const texts = ports.map(({ port, protocol }) => `${port}/${protocol}`);
  return [...new Set(texts)].slice(0, MOST_PORTS).join(', ');
}
