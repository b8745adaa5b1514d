/** What of the node decides about a packet besides the rules: as functions, so that little is read. */
import type { NetnsPlace } from '../../../cni/attachment.ts';
import type { NetnsLoss } from '../../../cni/machine.ts';
import type { PlannedPeer } from '../../../fabric/plan.ts';
import type { PathFinding } from '../../../fabric/probe/path.ts';
import type { Link, Netns, RouteAnswer, RouteQuestion } from '../../../kernel/types.ts';
import type { Cidr } from '../../../net/cidr.ts';
import type { IP } from '../../../net/ip.ts';

/** A pod of this node, by the CNI's records. */
export interface LocalPod {
  /** `namespace/name`, or the container where the runtime did not say. */
  readonly name: string;
  readonly ips: readonly IP[];
  /** The node's end of its veth. */
  readonly hostLink: string;
  /** The link that its packets come in by: the bridge, or the gateway of its VLAN. */
  readonly gatewayLink: string;
  /** It reaches pods of its own bridge through the node. */
  readonly isRouted: boolean;
  /** Networks that it takes for its own link. */
  readonly networks: readonly Cidr[];
  /** Bytes; undefined: that of the bridge. */
  readonly mtu: number | undefined;
  /** As its ADD has seen it. */
  readonly netns: NetnsPlace;
}

export interface NodeFacts {
  readonly askRoute: (question: RouteQuestion) => RouteAnswer;
  readonly link: (name: string) => Link | undefined;
  readonly linkByIndex: (index: number) => Link | undefined;
  readonly localAddresses: readonly IP[];
  /** By its path below /proc/sys; undefined where there is no such setting. */
  readonly sysctl: (path: string) => string | undefined;
  readonly podAt: (ip: IP) => LocalPod | undefined;
  /** The routing inside of a pod; undefined where it cannot be asked. */
  readonly askPodRoute: (pod: LocalPod, question: RouteQuestion) => RouteAnswer | undefined;
  /** What has become of the namespace on record; undefined: nothing that can be seen from here. */
  readonly netnsLoss: (pod: LocalPod) => NetnsLoss | undefined;
  /**
   * Opened once, and only if it is the one on record; closed with the node. Throws NetnsError.
   */
  readonly podNetns: (pod: LocalPod) => Netns;
  /** Other nodes, where this agent runs the fabric. */
  readonly peers: readonly PlannedPeer[];
  readonly paths: readonly PathFinding[];
}
