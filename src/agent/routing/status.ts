import { cidrFamily } from '../../net/cidr.ts';
import { ipFamily } from '../../net/ip.ts';
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
import type { SignatureCounts } from './password-failures.ts';
import { cureOf } from './session-cures.ts';

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
    problems: [
      ...status.problems,
      ...(pools === undefined
        ? []
        : [...pools.problems, ...pools.leaseProblems, ...pools.unassigned]),
      ...(announcer?.problems ?? []),
    ],
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
  signatures: SignatureCounts,
): RoutingStatus {
  const bySymbol = new Map(sessions.map((session) => [session.symbol, session]));
  const told = (plan?.sessions ?? []).map((planned) => {
    const { state, lastError, imported, exported } = bySymbol.get(planned.symbol) ?? UNKNOWN;
    const { name, kind, address, asn: itsASN, password } = planned;
    const hasPassword = password !== undefined;
    const cure = cureOf({ state, lastError, hasPassword }, signatures);
    return { name, kind, address, asn: itsASN, state, lastError, cure, imported, exported };
  });
  // Each session is of one family, that of its address.
  const hearing = new Set(
    told.flatMap(({ state, address }) => (state === 'Established' ? [ipFamily(address)] : [])),
  );
  return {
    ...{ asn, topology, sessions: told, reloads },
    routes: (plan?.routes ?? []).map(({ network, what, whyNot }) => ({
      ...{ network, what },
      whyNot:
        whyNot === '' && !hearing.has(cidrFamily(network))
          ? `no session of IPv${cidrFamily(network)} is established`
          : whyNot,
    })),
    problems: summarized([...problems, ...told.flatMap(sessionProblem)]),
  };
}

function sessionProblem(session: SessionStatus): readonly string[] {
  const { state, cure } = session;
  if (state === 'Established' || state === 'unknown') return [];
  return [`${sessionText(session)}${cure === '' ? '' : ` (${cure})`}`];
}

/** How far a session is, and what BIRD says of it. */
function sessionText({ name, address, state, lastError }: SessionStatus): string {
  const why = lastError === '' ? '' : `: ${lastError}`;
  return `BGP with ${name} (${address}) is not established, ${state}${why}`;
}
