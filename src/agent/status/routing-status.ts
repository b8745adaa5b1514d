import type { Session } from '../../routing/sessions.ts';

/** What `weft bgp` and `weft status` tell. */
export interface RoutingStatus {
  readonly asn: number;
  readonly topology: string;
  readonly sessions: readonly SessionStatus[];
  readonly routes: readonly RouteStatus[];
  /** How often BIRD was given another configuration. */
  readonly reloads: number;
  /** Where this node answers for addresses of Services on its links. */
  readonly announcer?: AnnouncerStatus;
  /** Where Services are given addresses. */
  readonly pools?: PoolsStatus;
  readonly problems: readonly string[];
}

/** Addresses on links. */
export interface AnnouncerStatus {
  /** That this node answers for. */
  readonly addresses: readonly string[];
  /** Nodes that could answer now. */
  readonly nodes: readonly string[];
  /** Of load balancers, whoever answers for them. */
  readonly all: readonly {
    readonly ip: string;
    readonly services: readonly string[];
    /** Absent: none. */
    readonly node?: string | undefined;
    readonly whyNot: string;
  }[];
  readonly problems: readonly string[];
}

/** What `weft bgp` and others tell of pools. */
export interface PoolsStatus {
  /** This agent writes addresses into Services. */
  readonly isAllocator: boolean;
  readonly pools: readonly {
    readonly name: string;
    readonly size: string;
    readonly used: number;
    readonly holders: readonly string[];
  }[];
  /** Why this agent cannot stand for election. */
  readonly leaseProblems: readonly string[];
  /** Services that lack an address, or keep one that they should not have, and why. */
  readonly unassigned: readonly string[];
  /** Of pools themselves, and of writing. */
  readonly problems: readonly string[];
}

export interface SessionStatus {
  /** The node or the configured neighbour. */
  readonly name: string;
  readonly kind: Session['kind'];
  readonly address: string;
  readonly asn: number;
  /** `Established`, or how far it is. */
  readonly state: string;
  /** Why it is not established, in BIRD's words; empty where BIRD says nothing. */
  readonly lastError: string;
  /** What helps; empty where it is established, or nobody knows. */
  readonly cure: string;
  /** Routes from there, and to there. */
  readonly imported: number;
  readonly exported: number;
}

export interface RouteStatus {
  readonly network: string;
  /** The Services that it is for, or pods of this node. */
  readonly what: string;
  /** Why nobody is told; empty when neighbours are. */
  readonly whyNot: string;
}
