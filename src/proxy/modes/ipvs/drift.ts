import type { Watch } from '../../../kernel/node-events.ts';
import { type IP, type IPFamily, ipFamily } from '../../../net/ip.ts';
import { type DriftOptions, DriftWatch, together } from '../drift-watch.ts';
import type { IpvsKernel } from './kernel.ts';
import type { KnownState } from './known.ts';
import { portalKey, portalOf } from './model.ts';
import { SET_ROLES, setName } from './sets.ts';

/** One family: the kernel, and what it is known to hold. */
export interface WatchedFamily {
  readonly kernel: Pick<IpvsKernel, 'ipvs' | 'sets' | 'addresses'>;
  readonly known: KnownState;
}

const POLL_MS = 10_000;
/** Servers whose destinations one look compares; the others have their turn. */
const SERVERS_PER_LOOK = 50;

/** Looks from time to time whether virtual servers, sets and addresses are as they were written. */
export function watchIpvs(
  families: ReadonlyMap<IPFamily, WatchedFamily>,
  options: DriftOptions,
): Watch {
  const watches = Array.from(families, ([family, watched]) => {
    const turns = { next: 0 };
    const find = () => findIpvsDrift(family, watched, turns);
    return new DriftWatch(family, POLL_MS, find, options);
  });
  return together(watches);
}

/**
 * What is not as it was written; nothing while somebody writes. Destinations are compared a few
 * servers at a time: `turns` says whose turn it is.
 */
export async function findIpvsDrift(
  family: IPFamily,
  { kernel, known }: WatchedFamily,
  turns: { next: number },
): Promise<readonly string[]> {
  const version = known.settledVersion;
  if (version === undefined) return [];
  const found = [
    ...(await missingServers(family, kernel, known)),
    ...changedSets(family, kernel, known),
    ...missingAddresses(kernel, known),
  ];
  if (known.settledVersion !== version) return [];
  return [...found, ...changedDestinations(kernel, known, turns)];
}

async function missingServers(
  family: IPFamily,
  { ipvs }: WatchedFamily['kernel'],
  known: KnownState,
): Promise<readonly string[]> {
  const there = new Map<string, string>();
  for (const { key, scheduler } of await ipvs.servers()) {
    if (key.kind === 'address' && ipFamily(key.ip) === family)
      there.set(portalKey(portalOf(key)), scheduler);
  }
  const missing = Array.from(known.servers).filter(
    ([key, { server }]) => there.get(key) !== server.scheduler,
  );
  return counted(
    missing.map(([key]) => key),
    'virtual server',
  );
}

function changedSets(
  family: IPFamily,
  { sets }: WatchedFamily['kernel'],
  known: KnownState,
): readonly string[] {
  const sizes = sets.sizes();
  return SET_ROLES.filter((role) => sizes.get(role) !== known.entries(role).size).map(
    (role) => `ipset ${setName(role, family)}`,
  );
}

function missingAddresses(
  { addresses }: WatchedFamily['kernel'],
  known: KnownState,
): readonly string[] {
  const there = new Set<IP>(addresses.read());
  return counted(
    [...known.addresses].filter((ip) => !there.has(ip)),
    'address',
  );
}

function changedDestinations(
  { ipvs }: WatchedFamily['kernel'],
  known: KnownState,
  turns: { next: number },
): readonly string[] {
  const servers = [...known.servers];
  const first = turns.next < servers.length ? turns.next : 0;
  turns.next = first + SERVERS_PER_LOOK;
  const changed = servers.slice(first, turns.next).filter(([, { server, destinations }]) => {
    const there = ipvs.destinations(server.key);
    const isKnown = ({ ip, port, weight }: (typeof there)[number]) =>
      destinations.get(`${ip} ${port}`)?.weight === weight;
    return there.length !== destinations.size || !there.every(isKnown);
  });
  return counted(
    changed.map(([key]) => key),
    'destinations of virtual server',
  );
}

/** One is named; more are counted. */
function counted(names: readonly string[], noun: string): readonly string[] {
  const [first] = names;
  if (first === undefined) return [];
  const others = names.length === 1 ? '' : ` and ${names.length - 1} more`;
  return [`${noun} ${first}${others}`];
}
