import type { BirdSession } from '../../routing/bird-reply.ts';
import type { BgpSettings } from '../../routing/settings.ts';
import type { SpeakerReport } from '../../routing/speaker.ts';
import { summarized } from '../../util/complaints.ts';
import type {
  AnnouncerStatus,
  PoolsStatus,
  RoutingStatus,
  SessionStatus,
} from '../status/routing-status.ts';

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
