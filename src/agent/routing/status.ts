import type { BirdSession } from '../../routing/bird-reply.ts';
import type { Session } from '../../routing/sessions.ts';
import type { BgpSettings } from '../../routing/settings.ts';
import type { SpeakerReport } from '../../routing/speaker.ts';
import { summarized } from '../../util/complaints.ts';

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
  readonly problems: readonly string[];
}

/** With pools and announced addresses, and what is wrong with them. */
export function withAddresses(
  status: RoutingStatus,
  pools: PoolsStatus | undefined,
  announcer: AnnouncerStatus | undefined,
): RoutingStatus {
  return {
    ...status,
    ...(pools === undefined ? {} : { pools }),
    ...(announcer === undefined ? {} : { announcer }),
    problems: [...status.problems, ...(pools?.problems ?? []), ...(announcer?.problems ?? [])],
  };
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

const UNKNOWN: Omit<BirdSession, 'symbol'> = {
  ...{ state: 'unknown', lastError: '', imported: 0, exported: 0 },
};

/** What is planned, with what BIRD makes of it. */
export function routingStatus(
  { asn, topology }: BgpSettings,
  { plan, sessions, reloads }: SpeakerReport,
  problems: readonly string[],
): RoutingStatus {
  const bySymbol = new Map(sessions.map((session) => [session.symbol, session]));
  const told = (plan?.sessions ?? []).map((planned) => {
    const { state, lastError, imported, exported } = bySymbol.get(planned.symbol) ?? UNKNOWN;
    const { name, kind, address } = planned;
    return { name, kind, address, asn: planned.asn, state, lastError, imported, exported };
  });
  const isNobodyThere = !told.some(({ state }) => state === 'Established');
  return {
    ...{ asn, topology, sessions: told, reloads },
    routes: (plan?.routes ?? []).map(({ network, what, whyNot }) => ({
      ...{ network, what },
      whyNot: whyNot === '' && isNobodyThere ? 'no session is established' : whyNot,
    })),
    problems: summarized([...problems, ...told.flatMap(sessionProblem)]),
  };
}

function sessionProblem({ name, address, state, lastError }: SessionStatus): readonly string[] {
  if (state === 'Established' || state === 'unknown') return [];
  const why = lastError === '' ? '' : `: ${lastError}${cureOf(lastError)}`;
  return [`BGP with ${name} (${address}) is not established, ${state}${why}`];
}

/** BIRD's words for what is usual, with what helps. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [/Bad peer AS/i, 'its AS is another one: correct asn (or localASN) here or there'],
  [/Connection refused/i, 'nobody listens there: is BGP running, and this node configured on it?'],
  [/Authentication|MD5|not permitted/i, 'the passwords differ'],
  [/No route to host|unreachable/i, 'there is no way to it: check the link and address'],
  [/Hold timer expired/i, 'it has been silent: check the link, and the password of both sides'],
  [/Invalid next hop/i, 'it tells of routes by a router that is on no link of this node'],
];

function cureOf(lastError: string): string {
  const cure = CURES.find(([pattern]) => pattern.test(lastError))?.[1];
  return cure === undefined ? '' : ` (${cure})`;
}
