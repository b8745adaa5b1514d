/**
 * What the page shows: plain values of one moment, made from those of the components (one pure function
 * each, beside this file). Lists have a key each, so that only what differs is sent (change.ts).
 */

export interface UiSnapshot {
  readonly node: UiNode;
  readonly findings: readonly UiFinding[];
  readonly pods: readonly UiPod[];
  readonly services: readonly UiService[];
  readonly peers: readonly UiPeer[];
  readonly denials: readonly UiDenial[];
}

/** The agent and its node. */
export interface UiNode {
  readonly name: string;
  readonly version: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly isHealthy: boolean;
  readonly components: readonly string[];
  /** Mode of the Service proxy; absent without one. */
  readonly proxyMode?: string;
  /** Back end of the fabric; absent without one. */
  readonly backend?: string;
  readonly podCIDRs: readonly string[];
  /** Of pods, in bytes. */
  readonly mtu?: number;
  /** The link of the default route; absent where there is none. */
  readonly uplink?: UiUplink;
  /** How many there are, also where a list below is cut off. */
  readonly counts: { readonly pods: number; readonly services: number; readonly peers: number };
}

export interface UiUplink {
  readonly name: string;
  readonly addresses: readonly string[];
  /** In bytes. */
  readonly mtu: number;
  readonly isUp: boolean;
}

export interface UiFinding {
  /** Kebab-case name of the check: unique. */
  readonly key: string;
  readonly level: 'ok' | 'warning' | 'failing' | 'unknown';
  readonly seen: string;
  readonly why: string;
  readonly cure: string;
}

/** A pod of this node. */
export interface UiPod {
  /** `namespace/name`, or what is known instead. */
  readonly key: string;
  readonly addresses: readonly string[];
  /** The node's end of its veth; absent when another plugin made the interface. */
  readonly veth?: string;
  readonly bridge?: string;
}

export interface UiService {
  /** `namespace/name` */
  readonly key: string;
  readonly addresses: readonly string[];
  readonly ports: readonly UiServicePort[];
  /** At most MOST_ENDPOINTS of them. */
  readonly endpoints: readonly UiEndpoint[];
  /** New connections take one of these. */
  readonly serving: number;
  /** All that slices list, each once. */
  readonly endpointCount: number;
  /** New connections a second; absent while nobody counts, or not yet. */
  readonly perSecond?: number;
  /** Refused packets a second, where there are any. */
  readonly refusedPerSecond?: number;
}

export interface UiServicePort {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  /** 0 where it has none. */
  readonly nodePort: number;
}

export interface UiEndpoint {
  readonly address: string;
  /** `serving` also while it terminates, if nothing better is there. `left out`: for a policy, hint or weight. */
  readonly state: 'serving' | 'left out' | 'terminating' | 'not ready';
  readonly isLocal: boolean;
  readonly node?: string;
}

/** Another node. */
export interface UiPeer {
  /** Its name. */
  readonly key: string;
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
  /** How packets get to its pods. */
  readonly way: 'direct' | 'vxlan' | 'unreachable' | 'none';
  /** What probes of its paths have found: the worst of them. */
  readonly path: 'full' | 'smaller' | 'silent' | 'not probed';
  /** Bytes that arrive; absent when nothing does, or nobody asked. */
  readonly mtu?: number;
  /** Whole milliseconds and tenths. */
  readonly roundTripMs?: number;
  readonly problems: readonly string[];
}

/** A connection that policies denied. */
export interface UiDenial {
  /** Counts up. */
  readonly key: string;
  /** RFC 3339. */
  readonly at: string;
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
  readonly policies: readonly string[];
  readonly reason: string;
}

/** Of each list, so that neither the agent nor a browser drowns; the counts tell how many there are. */
export const MOST_PODS = 1_000;
export const MOST_SERVICES = 4_000;
export const MOST_PEERS = 2_000;
export const MOST_ENDPOINTS = 12;
export const MOST_DENIALS = 60;
export const MOST_FLOWS = 50;

/** The answer of `weft explain`, as far as the page shows it. */
export interface UiExplanation {
  /** `differs`: a packet went another way than the model says. */
  readonly outcome: 'allowed' | 'refused' | 'dropped' | 'differs';
  /** What `weft explain` prints. */
  readonly text: string;
}

/** What happened since the last time, oldest first; at first what there is. */
export interface UiFlows {
  /** At most MOST_FLOWS. */
  readonly flows: readonly UiFlow[];
  /** That many more happened, and are not told. */
  readonly missed: number;
}

/** A connection of the pod or Service that was asked for, as FlowEvent has it. */
export interface UiFlow {
  /** The same from its begin to its end. */
  readonly key: string;
  readonly kind: 'live' | 'new' | 'end' | 'denied' | 'refused';
  /** RFC 3339. */
  readonly at: string;
  /** A name or an address, with the port where there is one. */
  readonly from: string;
  readonly to: string;
  /** Where it was sent on to, of one to a Service. */
  readonly endpoint?: string;
  readonly protocol: string;
  /** `established`, `unanswered`, … */
  readonly verdict: string;
  /** Of one that came to nothing: why. */
  readonly reason?: string;
}
