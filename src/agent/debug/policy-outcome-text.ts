/** What policies make of a connection, in words. */
import { formatHostPort } from '../../net/host-port.ts';
import type { Protocol } from '../../proxy/service.ts';
import { wrapped } from '../../util/text-layout.ts';
import type { PolicyOutcome } from './policy-outcome.ts';

/** Those that deny go first: they are what is looked for. */
const MOST_OUTCOMES = 10;

/** Nothing where no policies are enforced. */
export function policyLines(outcomes: readonly PolicyOutcome[]): readonly string[] {
  if (outcomes.length === 0) return [];
  const denied = outcomes.filter(({ isAllowed }) => !isAllowed);
  const allowed = outcomes.filter(({ isAllowed }) => isAllowed);
  const told = [...denied, ...allowed].slice(0, MOST_OUTCOMES);
  const more = outcomes.length - told.length;
  return [
    `Policies: ${summary(denied.length, outcomes.length)}`,
    ...told.flatMap(outcomeLines),
    ...(more === 0 ? [] : [`    and ${more} more (--json tells all)`]),
  ];
}

function summary(denied: number, all: number): string {
  if (denied === 0) return 'allowed.';
  return denied === all ? 'DENIED.' : `DENIED at ${denied} of ${all} endpoints.`;
}

function outcomeLines({ name, ip, port, isAllowed, reason }: PolicyOutcome): readonly string[] {
  const address = formatHostPort(ip, port);
  const place = name === ip ? address : `${name} (${address})`;
  const indents = { first: '             ', next: '               ' };
  return [`    ${isAllowed ? 'allowed' : 'denied '}  ${place}`, ...wrapped(reason, indents)];
}

/** What to look at when policies deny it; undefined when they do not. */
export function nextAgainstPolicies(
  outcomes: readonly PolicyOutcome[],
  protocol: Protocol,
): string | undefined {
  const first = outcomes.find(({ isAllowed }) => !isAllowed);
  if (first === undefined) return undefined;
  const traffic = `${protocol.toUpperCase()} ${first.port}`;
  return first.deniedBy === undefined
    ? 'weft policy list tells which policies there are.'
    : `weft policy pod ${first.deniedBy} tells what it is allowed; ${traffic} is not among it.`;
}
