/**
 * What is there, as plain values: for `weft pods`, `services`, `endpoints`, `nodes` and `ips`, and for whoever draws
 * it. Times are RFC 3339; a field that is absent is not known, or there is no such thing.
 */
import type { Cidr } from '../../../net/cidr.ts';
import type { IP, IPFamily } from '../../../net/ip.ts';
import type { Refusals } from '../../../proxy/counters/service-counts.ts';
import type { EndpointUse, LeftOut } from '../../../proxy/endpoint-use.ts';
import type { Protocol } from '../../../proxy/service.ts';

/** One part of a list that may be long. */
export interface Listing<T> {
  readonly items: readonly T[];
  /** How many Services, pods, … match in all, here and in other parts. */
  readonly total: number;
  /** What to ask for next: whatever comes after it. Absent: nothing follows. */
  readonly next?: string;
  /** No agent was asked: this is what records on disk say. */
  readonly isOnRecord?: true;
}

/** A pod of this node, as the CNI has it on record. */
export interface ListedPod {
  /** Empty where the runtime told of no pod: a container of `ctr` or podman. */
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  /** Of the sandbox. */
  readonly container: string;
  /** When the first of its interfaces was made. */
  readonly since: string;
  readonly interfaces: readonly ListedInterface[];
}

export interface ListedInterface {
  readonly name: string;
  readonly network: string;
  readonly addresses: readonly IP[];
  /** The other end, on the node. */
  readonly hostInterface: string;
  readonly bridge?: string;
  readonly mtu?: number;
  /** An ADD or a DEL is at work, or was killed. */
  readonly isUnfinished: boolean;
}

/** A Service that the proxy serves: headless ones and ExternalNames have nothing to serve. */
export interface ListedService {
  readonly namespace: string;
  readonly name: string;
  readonly createdAt?: string;
  /** Changes of it are on their way to the kernel. */
  readonly isPending: boolean;
  /** Absent where the mode counts nothing. */
  readonly connections?: number;
  readonly refused?: Refusals;
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  readonly affinitySeconds?: number;
  readonly healthCheckNodePort?: number;
  /** Who may use load balancer addresses; empty: everybody. */
  readonly sourceRanges: readonly Cidr[];
  /** A port is there once for each address family. */
  readonly ports: readonly ListedPort[];
}

export interface ListedPort {
  /** Empty for the unnamed port. */
  readonly name: string;
  readonly family: IPFamily;
  readonly protocol: Protocol;
  readonly port: number;
  readonly frontends: readonly ListedFrontend[];
  /** Endpoints that some client is led to, and all that slices list. */
  readonly endpoints: { readonly used: number; readonly total: number };
}

export interface ListedFrontend {
  readonly kind: 'clusterIP' | 'loadBalancerIP' | 'externalIP' | 'nodePort';
  /** Absent for a NodePort. */
  readonly ip?: IP;
  readonly port: number;
  /** The Service that has it instead: `namespace/name`. */
  readonly takenBy?: string;
  readonly connections?: number;
  readonly refused?: Refusals;
}

/** One address and port of a Service, and who is led there. */
export interface ListedEndpoint extends EndpointUse {
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: IPFamily;
  readonly ip: IP;
  readonly port: number;
  /** Of this node: `namespace/name`. */
  readonly pod?: string;
  readonly node?: string;
  readonly zone?: string;
  readonly isLocal: boolean;
  /** With the setting endpointMetrics. */
  readonly connections?: number;
}

/** What `weft services NAME` prints. */
export interface ServiceDetail extends ListedService {
  readonly endpoints: readonly ListedEndpoint[];
}

/** A node of the cluster and the way to its pods. */
export interface ListedNode {
  readonly name: string;
  readonly isThis: boolean;
  /** InternalIPs that are used. */
  readonly addresses: readonly IP[];
  readonly podCIDRs: readonly Cidr[];
  /** `none`: it has no podCIDRs, or nothing leads to them. `own`: this node. */
  readonly way: 'own' | 'direct' | 'vxlan' | 'unreachable' | 'none';
  readonly paths: readonly ListedPath[];
  readonly problems: readonly string[];
}

/** What a probe found of a way, to one of the node's podCIDRs. */
export interface ListedPath {
  readonly family: IPFamily;
  readonly target: IP;
  /** Bytes of the largest packet that arrived; 0: nothing was answered. */
  readonly mtu: number;
  /** What pods send. */
  readonly wanted: number;
  readonly roundTripMs?: number;
  readonly probedAt: string;
}

/** What `weft nodes` prints. */
export interface NodesAnswer extends Listing<ListedNode> {
  readonly backend: string;
  /** Of pods. */
  readonly mtu?: number;
}

/** Who has an address of this node's pods, or had it. */
export interface ListedAddress {
  readonly ip: IP;
  readonly network: string;
  /** `namespace/name`; absent where the runtime told of no pod, and where nothing is on record. */
  readonly pod?: string;
  readonly container: string;
  readonly interface?: string;
  readonly since?: string;
  /** When it was given back; absent: it is held. */
  readonly until?: string;
  /** Nobody looked when it went: it was found gone then. */
  readonly isUntilLate?: true;
}

export type { EndpointUse, LeftOut, Refusals };
