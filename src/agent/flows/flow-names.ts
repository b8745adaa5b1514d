/** Who has an address: pods, Services and nodes by the addresses of packets. */

import { type Cidr, cidrOf, prefixLength } from '../../net/cidr.ts';
import { addressBits, type IP, ipFamily, isLoopback, parseIP } from '../../net/ip.ts';
import { frontendsOf } from '../../proxy/claims.ts';
import { PROTOCOL_NUMBERS, type ServicePort } from '../../proxy/service.ts';
import type { Steps } from '../../util/turns.ts';
import type { FlowParty } from './flow-event.ts';

export interface NamedAddresses {
  /** `namespace/name` of a pod, or the name of a node. */
  readonly name: string;
  readonly ips: Iterable<IP>;
}

/** A node, and the networks of its pods. */
export interface NamedNode extends NamedAddresses {
  readonly podCIDRs: readonly Cidr[];
}

/** `protocol` is a number. */
export interface NamedFrontend {
  readonly ip?: IP;
  readonly protocol: number;
  readonly port: number;
}

/** What there is now; a pod that is told twice has the name told last. */
export interface NameFacts {
  /** This node's. */
  readonly nodeName: string;
  readonly localAddresses: readonly IP[];
  readonly nodes: Iterable<NamedNode>;
  readonly pods: Iterable<NamedAddresses>;
  /** In the order of claims: of two with one frontend the first has it. */
  readonly services: Iterable<ServicePort>;
}

/** Ends are told after a pod is gone; the one that went first gives way. */
const MOST_FORMER = 2_000;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * Names of one moment, but for this node's pods, which come and go in between (`setLocalPods`). One that
 * is gone keeps its addresses until somebody else has them.
 */
export class FlowNames {
  readonly nodeName: string;
  readonly #own: ReadonlySet<IP>;
  readonly #nodes = new Map<IP, string>();
  readonly #podNetworks = new NetworkNames();
  readonly #pods = new Map<IP, string>();
  #local: ReadonlyMap<IP, string> = new Map();
  readonly #former = new Map<IP, string>();
  readonly #services = new Map<string, string>();

  private constructor({ nodeName, localAddresses }: NameFacts, before: FlowNames | undefined) {
    this.nodeName = nodeName;
    this.#own = new Set(localAddresses);
    if (before === undefined) return;
    this.#former = new Map([...before.#former, ...before.#pods]);
    this.#local = before.#local;
  }

  /** In steps, as there may be tens of thousands. */
  static *of(facts: NameFacts, before?: FlowNames): Steps<FlowNames> {
    const names = new FlowNames(facts, before);
    for (const { name, ips, podCIDRs } of facts.nodes) {
      for (const ip of ips) names.#nodes.set(ip, name);
      for (const podCIDR of podCIDRs) names.#podNetworks.add(podCIDR, name);
    }
    for (const { name, ips } of facts.pods) {
      for (const ip of ips) names.#pods.set(ip, name);
      yield;
    }
    for (const port of facts.services) {
      names.#addService(port);
      yield;
    }
    names.#boundFormer();
    return names;
  }

  setLocalPods(pods: Iterable<NamedAddresses>): void {
    const local = new Map<IP, string>();
    for (const { name, ips } of pods) for (const ip of ips) local.set(ip, name);
    for (const [ip, name] of this.#local) if (!local.has(ip)) this.#former.set(ip, name);
    this.#local = local;
    this.#boundFormer();
  }

  /** Whether an address is this node's, its loopback among them. */
  isOwn(ip: IP): boolean {
    return this.#own.has(ip) || isLoopback(ip);
  }

  /** Who has an address; a client's port, or an endpoint's, has no name. */
  party(ip: IP, port: number | undefined): FlowParty {
    const party: Mutable<FlowParty> = { ip };
    if (port !== undefined) party.port = port;
    const pod = this.#local.get(ip) ?? this.#pods.get(ip) ?? this.#former.get(ip);
    if (pod !== undefined) party.pod = pod;
    const node = this.isOwn(ip) ? this.nodeName : this.#nodes.get(ip);
    if (node !== undefined) party.node = node;
    if (pod !== undefined || node !== undefined) return party;
    const podsOf = this.#podNetworks.nameOf(ip);
    if (podsOf !== undefined) party.podsOf = podsOf;
    return party;
  }

  /** Whom a client means, perhaps a Service; `protocol` is a number. */
  target(ip: IP, port: number | undefined, protocol: number): FlowParty {
    const party = this.party(ip, port);
    const service = this.#serviceAt(party, protocol);
    return service === undefined ? party : { ...party, service };
  }

  #serviceAt({ ip, port, node }: FlowParty, protocol: number): string | undefined {
    if (port === undefined) return undefined;
    const own = this.#services.get(`${ip} ${protocol} ${port}`);
    if (own !== undefined || node === undefined) return own;
    return this.#services.get(`${protocol} ${port}`);
  }

  /** Addresses of a pod, `namespace/name`, as far as they are known. */
  addressesOf(pod: string): readonly IP[] {
    const named = [...this.#pods, ...this.#local].filter(([, name]) => name === pod);
    return [...new Set(named.map(([ip]) => ip))];
  }

  /** Where clients reach a Service, `namespace/name`; those of NodePorts are without an address. */
  *frontendsOf(service: string): Generator<NamedFrontend> {
    for (const [key, name] of this.#services) {
      if (name !== service && !name.startsWith(`${service}:`)) continue;
      const [port, protocol, ip] = key.split(' ').toReversed();
      const frontend = { protocol: Number(protocol), port: Number(port) };
      yield ip === undefined ? frontend : { ...frontend, ip: parseIP(ip) };
    }
  }

  #addService(port: ServicePort): void {
    for (const frontend of frontendsOf(port)) {
      const at = `${PROTOCOL_NUMBERS[frontend.protocol]} ${frontend.port}`;
      const key = frontend.kind === 'nodePort' ? at : `${frontend.ip} ${at}`;
      if (!this.#services.has(key)) this.#services.set(key, port.name);
    }
  }

  #boundFormer(): void {
    for (const ip of this.#former.keys()) {
      if (this.#pods.has(ip) || this.#local.has(ip)) this.#former.delete(ip);
    }
    for (const ip of this.#former.keys()) {
      if (this.#former.size <= MOST_FORMER) return;
      this.#former.delete(ip);
    }
  }
}

/** Whose network an address is in; of several that hold it the smallest counts. */
class NetworkNames {
  readonly #names = new Map<Cidr, string>();
  /** Lengths that there are, the longest first: few, however many networks. */
  #lengths: readonly number[] = [];

  add(network: Cidr, name: string): void {
    this.#names.set(network, name);
    const length = prefixLength(network);
    if (this.#lengths.includes(length)) return;
    this.#lengths = [...this.#lengths, length].sort((a, b) => b - a);
  }

  nameOf(ip: IP): string | undefined {
    const bits = addressBits(ipFamily(ip));
    for (const length of this.#lengths) {
      const name = length <= bits ? this.#names.get(cidrOf(ip, length)) : undefined;
      if (name !== undefined) return name;
    }
    return undefined;
  }
}
