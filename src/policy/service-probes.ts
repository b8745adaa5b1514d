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

interface Side {
  readonly count: number;
  /** Of the first. */
  readonly text: string;
}

interface Tally {
  readonly allowed: Side;
  readonly denied: Side;
}

const NONE: Side = { count: 0, text: '' };

/** By who asks: a list is of one world, and many ask again who is behind a Service of hundreds of places. */
const tallies = new WeakMap<readonly Behind[], Map<string, Tally>>();

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
  const places = found.flatMap(({ to }) => (isUnresolved(to) ? [] : [to]));
  if (places.length === 0) return { error: problem?.problem ?? `${service.name} leads nowhere` };
  return together(
    service.name,
    places.map((some) => judgeAll(some, probe, from, world)),
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

function judgeAll(places: readonly Behind[], probe: Probe, from: Party, world: PolicyWorld): Tally {
  const ofClients = tallies.get(places) ?? new Map<string, Tally>();
  tallies.set(places, ofClients);
  const client = `${probe.protocol} ${probe.from}`;
  const known = ofClients.get(client);
  if (known !== undefined) return known;
  const [allowed, denied]: JudgedPlace[][] = [[], []];
  for (const place of places) {
    const judged = judge(place, probe, from, world);
    (judged.isAllowed ? allowed : denied)?.push(judged);
  }
  const tally = { allowed: sideOf(allowed), denied: sideOf(denied) };
  ofClients.set(client, tally);
  return tally;
}

function sideOf([first, ...others]: readonly JudgedPlace[] = []): Side {
  return first === undefined ? NONE : { count: others.length + 1, text: first.text() };
}

function together(name: string, families: readonly Tally[]): ProbeAnswer {
  const sum = (sides: readonly Side[]): Side => ({
    count: sides.reduce((total, { count }) => total + count, 0),
    text: sides.find(({ count }) => count > 0)?.text ?? '',
  });
  const allowed = sum(families.map((family) => family.allowed));
  const denied = sum(families.map((family) => family.denied));
  const all = allowed.count + denied.count;
  const tell = ({ count, text }: Side) => (all === 1 ? text : `${count} of ${all}, ${text}`);
  const sentence = (text: string) => `${name} goes to ${text}`;
  if (denied.count === 0) return { allowed: true, reason: sentence(tell(allowed)) };
  if (allowed.count === 0) return { allowed: false, reason: sentence(tell(denied)) };
  const reason = `${sentence(tell(denied))}; and allowed to ${tell(allowed)}`;
  return { allowed: false, partly: true, reason };
}
