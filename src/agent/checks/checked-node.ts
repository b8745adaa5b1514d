import type { PathFinding } from '../../fabric/probe/path.ts';
import type { ClusterAccess } from '../../kube/access/access.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { Component } from '../config/agent-config.ts';
import type { KubeCounts } from '../metrics/metrics.ts';
import type { AnnouncerStatus, PoolsStatus, SessionStatus } from '../status/routing-status.ts';

/** What is known of a node before anything of it is read. */
export interface CheckedNode {
  readonly directories: CheckedDirectories;
  /** Of this node, as the CNI has them on record; also without an agent. */
  readonly pods: readonly CheckedPod[];
  /** Undefined: no agent was asked, and only the node itself is looked at. */
  readonly agent?: CheckedAgent | undefined;
}

export interface CheckedDirectories {
  readonly run: string;
  readonly state: string;
  readonly ipam: string;
  /** The runtime's network configurations. */
  readonly conf: string;
  /** The runtime's plugins. */
  readonly bin: string;
}

/** What the parts of a running agent know. */
export interface CheckedAgent {
  readonly components: ReadonlySet<Component>;
  readonly nodeName: string;
  /** Of this node. */
  readonly podCIDRs: readonly Cidr[];
  readonly proxy?: CheckedProxy | undefined;
  readonly fabric?: CheckedFabric | undefined;
  readonly source?: CheckedSource | undefined;
  /** Sessions at this moment. */
  readonly bgp?: (() => Promise<CheckedBgp>) | undefined;
  /** Of load balancers; undefined result: none are given nor announced here. */
  readonly addresses?: (() => CheckedAddresses | undefined) | undefined;
  /** What differs inside of pods from what they were given, in sentences. */
  readonly differing: readonly string[];
}

export interface CheckedBgp {
  readonly sessions: readonly SessionStatus[];
  /** Of BIRD and the configuration, in sentences with the cure. */
  readonly problems: readonly string[];
}

export interface CheckedAddresses {
  readonly pools: PoolsStatus | undefined;
  readonly announcer: AnnouncerStatus | undefined;
  /** What lets an agent take part in the election, by where objects come from. */
  readonly leaseCure: string;
}

export interface CheckedPod {
  /** `namespace/name`, or the container where the runtime did not say. */
  readonly name: string;
  readonly addresses: readonly IP[];
  readonly bridge: string;
  /** What it sends to pods of the same bridge goes through the node. */
  readonly isIsolated: boolean;
}

export interface CheckedProxy {
  readonly mode: string;
  /** What tells pods from others; empty where something else does, or nothing. */
  readonly clusterCIDRs: readonly Cidr[];
  readonly serviceCIDRs: readonly Cidr[];
  /** Ports of this node that Services have. */
  readonly nodePorts: () => readonly CheckedPort[];
  /** Endpoints, one for each node at most. */
  readonly endpoints: () => readonly CheckedEndpoint[];
}

export interface CheckedPort {
  readonly service: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
}

export interface CheckedEndpoint {
  readonly address: IP;
  readonly node: string;
}

export interface CheckedFabric {
  /** Other nodes whose pods are led to. */
  readonly peers: readonly { readonly name: string; readonly podCIDRs: readonly Cidr[] }[];
  /** Rules of others that masquerade what pods send to each other, in words. */
  readonly masquerades: readonly string[];
  /** Undefined: nobody probes. */
  readonly findings: readonly PathFinding[] | undefined;
}

/** The server that objects come from. */
export interface CheckedSource {
  /** `API server 10.0.0.1:6443` */
  readonly location: string;
  /** How it is reached. */
  readonly access: ClusterAccess | undefined;
  readonly counts: readonly KubeCounts[];
  /** By `Clock.elapsed`. */
  readonly nowMs: number;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** What the server's clock is before ours, at the last answer; undefined before there was one. */
  readonly skewMs: number | undefined;
  /** What is wrong with last known objects. */
  readonly stateProblems: readonly string[];
  /** Why no Node is this one; undefined where one is. */
  readonly nodeProblem: string | undefined;
}
