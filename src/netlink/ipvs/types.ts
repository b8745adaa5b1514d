/** Virtual servers and their destinations as values (include/uapi/linux/ip_vs.h). */
import type { IP, IPFamily } from '../../net/ip.ts';

export type IpvsProtocol = 'tcp' | 'udp' | 'sctp';

/** Names one virtual server: by what packets are sent to, or by the mark they carry. */
export type VirtualServerKey =
  | {
      readonly kind: 'address';
      readonly ip: IP;
      readonly protocol: IpvsProtocol;
      readonly port: number;
    }
  | { readonly kind: 'mark'; readonly mark: number; readonly family: IPFamily };

/** Flags are absent when off, so that equal servers are structurally equal. */
export interface VirtualServer {
  readonly key: VirtualServerKey;
  /** As in `ip_vs_<scheduler>`: `rr`, `wrr`, `mh` … */
  readonly scheduler: string;
  /** How long a client stays with its destination; 0: not at all. */
  readonly persistenceSeconds: number;
  /** Clients that share this many bits of address share a destination; absent: each its own. */
  readonly persistencePrefixLength?: number;
  /** Schedulers `sh` and `mh`: a destination of weight 0 is replaced, not refused. */
  readonly fallback?: true;
  /** Schedulers `sh` and `mh`: the client's port decides too. */
  readonly hashesPort?: true;
  /** UDP: each datagram is scheduled for itself. */
  readonly onePacket?: true;
}

/** A destination's place in its server. */
export interface DestinationKey {
  readonly ip: IP;
  readonly port: number;
}

export interface Destination extends DestinationKey {
  /** 0: keeps its connections and gets no more. */
  readonly weight: number;
}

/** What the kernel has of a destination. */
export interface ObservedDestination extends Destination {
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  /** Persistence templates: clients bound to it. */
  readonly persistentConnections: number;
  /** False: tunnelled or routed, so made by somebody else. Ours are always translated. */
  readonly isMasquerading: boolean;
}

/** One write; `set…` of something that is not there fails, as `add…` of something that is. */
export type IpvsChange =
  | { readonly op: 'addServer' | 'setServer'; readonly server: VirtualServer }
  | { readonly op: 'deleteServer'; readonly key: VirtualServerKey }
  | {
      readonly op: 'addDestination' | 'setDestination';
      readonly key: VirtualServerKey;
      readonly destination: Destination;
    }
  | {
      readonly op: 'deleteDestination';
      readonly key: VirtualServerKey;
      readonly destination: DestinationKey;
    };

/** Idle times after which IPVS forgets connections. */
export interface IpvsTimeouts {
  readonly tcpSeconds: number;
  readonly tcpFinSeconds: number;
  readonly udpSeconds: number;
}
