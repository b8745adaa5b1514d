import { type IPFamily, ipFamily } from '../net/ip.ts';
import { type Party, partyName, type Unresolved } from './parties.ts';
import type { Probe, ProbeAnswer } from './probe.ts';
import type { Behind, VirtualService } from './service-target.ts';
import { verdictText } from './verdict-text.ts';
import type { PolicyWorld } from './world.ts';

interface JudgedPlace {
  readonly isAllowed: boolean;
  /** Of many places one or two are told. */
  readonly text: () => string;
}

/**
 * Judges a connection to a Service at every place where it may go, as policies see it there. An error
 * where it can go nowhere: then no policy decides.
 */
export function serviceAnswer(
  probe: Probe,
  from: Party,
  service: VirtualService,
  world: PolicyWorld,
): ProbeAnswer {
  const families = familiesOf(probe, from, service);
  if (families.length === 0) {
    return { error: `${probe.from} and ${service.name} have no address family in common` };
  }
  const found = families.map((family) => ({ family, to: service.behind(probe, from, family) }));
  const problem = found.map(({ to }) => to).find(isUnresolved);
  const places = found.flatMap(({ to }) => (isUnresolved(to) ? [] : to));
  if (places.length === 0) return { error: problem?.problem ?? `${service.name} leads nowhere` };
  return together(
    service.name,
    places.map((place) => judge(place, probe, from, world)),
  );
}

function isUnresolved(found: readonly Behind[] | Unresolved): found is Unresolved {
  return 'problem' in found;
}

/** All that both have: a client takes whichever comes first. */
function familiesOf(
  { family }: Probe,
  from: Party,
  { families }: VirtualService,
): readonly IPFamily[] {
  if (family !== undefined) return families.includes(family) ? [family] : [];
  if (from.ips.length === 0) return families;
  const ofSource = new Set(from.ips.map(ipFamily));
  return families.filter((each) => ofSource.has(each));
}

function judge(
  { ip, port }: Behind,
  probe: Probe,
  from: Party,
  { parties, evaluator }: PolicyWorld,
): JudgedPlace {
  const to = parties.at(ip);
  const traffic = { protocol: probe.protocol, port };
  const verdict = evaluator.verdict({ from, to, ...traffic, family: ipFamily(ip) });
  const name = partyName(to, ip);
  const unknown = to.kind === 'address' ? `; ${ip} is no pod of the files` : '';
  const reason = () => verdictText(verdict, { from: probe.from, to: name, ...traffic });
  return {
    isAllowed: verdict.isAllowed,
    text: () => `${name} port ${port}: ${reason()}${unknown}`,
  };
}

function together(name: string, places: readonly JudgedPlace[]): ProbeAnswer {
  const allowed = places.filter(({ isAllowed }) => isAllowed);
  const denied = places.filter(({ isAllowed }) => !isAllowed);
  const all = places.length;
  const count = (some: readonly JudgedPlace[]) => (all === 1 ? '' : `${some.length} of ${all}, `);
  const tell = (some: readonly JudgedPlace[]) => `${count(some)}${some[0]?.text() ?? ''}`;
  const sentence = (text: string) => `${name} goes to ${text}`;
  if (denied.length === 0) return { allowed: true, reason: sentence(tell(allowed)) };
  if (allowed.length === 0) return { allowed: false, reason: sentence(tell(denied)) };
  const reason = `${sentence(tell(denied))}; and allowed to ${tell(allowed)}`;
  return { allowed: false, partly: true, reason };
}
