/**
 * What happens on this node's network, as it is told to people and programs. These are the fields of
 * `weft flows --output json`: names stay, new ones may come.
 */
import type { IP } from '../../net/ip.ts';

/**
 * `live`: a connection that is there when somebody begins to look. `new`: its first packet has passed.
 * `end`: the kernel forgets it. `denied`: by a policy. `refused`: this node answers in place of whoever
 * was meant.
 */
export type FlowKind = 'live' | 'new' | 'end' | 'denied' | 'refused';

/**
 * `begun`: nothing is known yet. `established`: both sides have sent. `unanswered`: only the one that
 * began. `refused`: the other side answered that nobody listens. `no endpoint`: a Service without one
 * that is ready. `rejected`: by a rule of this node that is not a Service's. `unreachable`: no route, or
 * nobody there. `denied`: by a policy.
 */
export type FlowVerdict =
  | 'begun'
  | 'established'
  | 'unanswered'
  | 'refused'
  | 'no endpoint'
  | 'rejected'
  | 'unreachable'
  | 'denied';

/** One side, with every name that is known for it. */
export interface FlowParty {
  readonly ip: IP;
  /** Of TCP, UDP and SCTP. */
  readonly port?: number;
  /** `namespace/name` of the pod that has the address. */
  readonly pod?: string;
  /** `namespace/name:port`, or `namespace/name` of an unnamed port, whose frontend this is. */
  readonly service?: string;
  /** The node that has the address. */
  readonly node?: string;
  /** The node to whose pods the address belongs, by its podCIDR, where no name is known. */
  readonly podsOf?: string;
}

/** What passed; absent where the kernel does not count (net.netfilter.nf_conntrack_acct). */
export interface FlowCounts {
  readonly packets: number;
  readonly bytes: number;
}

export interface FlowEvent {
  readonly kind: FlowKind;
  /** RFC 3339 with milliseconds: of the event. */
  readonly at: string;
  /** `TCP`, `UDP`, `SCTP`, `ICMP`, or `IP 47`. */
  readonly protocol: string;
  /** The side that began. */
  readonly from: FlowParty;
  /** Whom it meant: of a connection to a Service, the Service. */
  readonly to: FlowParty;
  /** Where it was sent on to, where that differs from `to`: of a Service, the endpoint. */
  readonly endpoint?: FlowParty;
  /** How the other side sees the one that began, where it is masqueraded. */
  readonly masqueraded?: FlowParty;
  readonly verdict: FlowVerdict;
  /** From the side that began. */
  readonly sent?: FlowCounts;
  /** The answers. */
  readonly received?: FlowCounts;
  /** RFC 3339; absent where the kernel does not note it (net.netfilter.nf_conntrack_timestamp). */
  readonly startedAt?: string;
  readonly durationMs?: number;
  /** Of a denied one: `NetworkPolicy shop/db`. */
  readonly policies?: readonly string[];
  /** Of a denied or refused one: why, in words. */
  readonly reason?: string;
  /** Of a denied one: packets of this kind since it was last told. */
  readonly attempts?: number;
}

/** Which of them somebody wants; every field present must match, on either side. */
export interface FlowQuery {
  /** `namespace/name`. */
  readonly pod?: string;
  /** `namespace/name`. */
  readonly service?: string;
  /** Of a pod or a Service. */
  readonly namespace?: string;
  /** This node's own, also those with itself and with other nodes, which are left out otherwise. */
  readonly isNode?: boolean;
  /** Those that came to nothing: denied, refused, unanswered at their end. */
  readonly isDropped?: boolean;
}

/** Some events, oldest first. */
export interface FlowBatch {
  readonly events: readonly FlowEvent[];
  /** Events that the kernel could not hand over since the batch before; what they were nobody knows. */
  readonly lost: number;
}

export type FlowListener = (batch: FlowBatch) => void;

/** A closed one is told nothing more; closing it again does nothing. */
export interface FlowSubscription {
  /** What is missing in what is told, in words with the cure: events that are off, bytes not counted. */
  readonly notices: readonly string[];
  close(): void;
}

/** Connections of this node. Costs nothing while nobody asks. */
export interface FlowFeed {
  /** From now on, until closed. A listener must not throw. Throws BusyError where there are too many. */
  subscribe(query: FlowQuery, listener: FlowListener): Promise<FlowSubscription>;
  /** Denials of the past that are still known, oldest first. */
  past(query: FlowQuery): Promise<readonly FlowEvent[]>;
  /**
   * Those that there are, in parts; the next part is read when `onPart` has resolved. Gives false
   * where some may be missing, because many came and went meanwhile.
   */
  live(
    query: FlowQuery,
    onPart: (events: readonly FlowEvent[]) => void | Promise<void>,
    signal?: AbortSignal,
  ): Promise<boolean>;
}
