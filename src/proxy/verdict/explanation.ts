/** What becomes of a new connection and why, as plain values: what `decide` gives. */
import type { Cidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { Balance } from '../balancing.ts';
import type { Frontend } from '../claims.ts';
import type { SetName } from '../modes/nftables/sets.ts';
import type { Protocol } from '../service.ts';

/** The first packet of a connection as it reaches this node, or leaves one of its processes. */
export interface Packet {
  readonly source: IP;
  readonly destination: IP;
  readonly protocol: Protocol;
  /** Destination port. */
  readonly port: number;
  /** The interface it comes in by; undefined when it is not known or there is none. */
  readonly inInterface?: string;
}

/** Where a packet comes from, as far as the rules can tell. */
export type Origin = 'node' | 'pod' | 'outside';

/** What tells the origin: a network or an interface of pods, an address of the node, or nothing. */
export type OriginSign =
  | { readonly kind: 'podCIDR'; readonly cidr: Cidr }
  | { readonly kind: 'podInterface'; readonly name: string }
  | { readonly kind: 'nodeAddress' }
  | { readonly kind: 'noDetector' }
  | { readonly kind: 'noMatch' };

/** Why the source address is replaced by the node's, or why it is not. */
export type MasqueradeReason =
  | 'hairpin'
  | 'masqueradeAll'
  | 'offCluster'
  | 'externalCluster'
  | 'fromNode'
  | 'fromPod'
  | 'noDetector'
  | 'sourceKept'
  | 'forwarded'
  | 'ipMasq';

/** One endpoint the connection may go to. */
export interface Candidate {
  readonly ip: IP;
  readonly port: number;
  readonly isLocal: boolean;
  /** Share of this client's new connections, 0 to 1; with an affinity, while it is not remembered. */
  readonly probability: number;
  readonly isMasqueraded: boolean;
  readonly because: MasqueradeReason;
}

/** Where the kernel finds a frontend: among those with endpoints or a check, or among the others. */
export type FrontendMap = Extract<
  SetName,
  'service-ips' | 'service-nodeports' | 'no-endpoint-services' | 'no-endpoint-nodeports'
>;

/** One step on the way to the verdict, in the order in which the kernel takes them. */
export type Decision =
  | { readonly kind: 'origin'; readonly origin: Origin; readonly sign: OriginSign }
  | {
      readonly kind: 'sourceRanges';
      readonly ranges: readonly Cidr[];
      /** The one that admits the source; undefined when none does. */
      readonly admittedBy: Cidr | undefined;
    }
  | {
      readonly kind: 'frontend';
      readonly map: FrontendMap;
      /** `172.30.0.1 tcp 80` or `tcp 30080` */
      readonly key: string;
      readonly servicePort: string;
      readonly frontend: Frontend['kind'];
    }
  | {
      readonly kind: 'noFrontend';
      readonly key: string;
      /** A NodePort with that number exists, but not on this address. */
      readonly nodePortOf: string | undefined;
    }
  | { readonly kind: 'clusterIP'; readonly servicePorts: readonly string[] }
  | { readonly kind: 'serviceCIDR'; readonly cidr: Cidr }
  | {
      readonly kind: 'trafficPolicy';
      readonly policy: 'internal' | 'external';
      readonly value: 'Cluster' | 'Local';
      /** Policy Local, but the client is on this node: it may use endpoints anywhere. */
      readonly isShortCircuit: boolean;
    }
  | {
      readonly kind: 'noEndpoints';
      readonly scope: 'cluster' | 'node';
      readonly answer: 'reject' | 'drop';
    }
  | { readonly kind: 'affinity'; readonly seconds: number }
  | {
      readonly kind: 'endpoints';
      readonly count: number;
      readonly scope: 'cluster' | 'node';
      readonly balance: Balance;
      /** The client's slot and the number of slots, where its address decides. */
      readonly hashSlot: { readonly slot: number; readonly count: number } | undefined;
    }
  | {
      readonly kind: 'masquerade';
      readonly because: MasqueradeReason;
      readonly isMasqueraded: boolean;
      /** Undefined: all candidates. */
      readonly endpoints: readonly IP[] | undefined;
    };

/** What the client sees: an endpoint, a refusal, silence, or whatever else has that address. */
export type PacketVerdict =
  | { readonly kind: 'dnat'; readonly candidates: readonly Candidate[] }
  | { readonly kind: 'reject' }
  | { readonly kind: 'drop' }
  /** Taken by a process, and then reset. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'pass' };

export interface Explanation {
  readonly packet: Packet;
  readonly decisions: readonly Decision[];
  readonly verdict: PacketVerdict;
}
