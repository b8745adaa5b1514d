import type { LinkEvent } from '../kernel/link-monitor.ts';
import type { RouteEvent } from '../kernel/route-monitor.ts';
import type { Link, Route } from '../kernel/types.ts';
import { type Entries, type Entry, entryKey, isSameEntry } from './entries.ts';
import { isOurs } from './kernel-state.ts';
import { TUNNEL_NAME } from './names.ts';
import type { UnderlayFacts } from './underlay.ts';

/** What the kernel is believed to hold. */
export interface Known {
  readonly entries: Entries;
  readonly underlay: UnderlayFacts;
}

/** Whether the kernel may hold something else than is known. The echo of own changes says nothing new. */
export function contradictsRoutes(
  events: readonly RouteEvent[] | 'overflow',
  known: Known,
): boolean {
  return events === 'overflow' || events.some((event) => isNewsOfEntry(event, known));
}

function isNewsOfEntry(event: RouteEvent, { entries, underlay }: Known): boolean {
  const { kind, isGone } = event;
  if (kind === 'route') {
    const entry: Entry = { kind, entry: event.route };
    if (isOurs(event.route)) return contradicts(entry, isGone, entries);
    // Of two routes of one key the later takes the place of the earlier without a word about that.
    const isInPlaceOfOurs = entries.has(entryKey(entry));
    return isMain(event.route) && (isInPlaceOfOurs || !isKnownRoute(event.route, isGone, underlay));
  }
  const tunnel = underlay.links.find(({ name }) => name === TUNNEL_NAME);
  // A tunnel made since was not read yet; then what is known of it has the link's number.
  const isOnTunnel = entries.has(entryKey(event as Entry)) || event.entry.link === tunnel?.index;
  return isOnTunnel && contradicts(event as Entry, isGone, entries);
}

function contradicts(entry: Entry, isGone: boolean, entries: Entries): boolean {
  const known = entries.get(entryKey(entry));
  if (isGone) return known !== undefined && (entry.kind !== 'route' || isSameEntry(known, entry));
  return known === undefined || !isSameEntry(known, entry);
}

/** 254: table main. */
function isMain({ table }: Route): boolean {
  return table === 254;
}

function isKnownRoute(route: Route, isGone: boolean, { routes }: UnderlayFacts): boolean {
  const isThere = routes.some(
    ({ destination, gateway, link, priority }) =>
      destination === route.destination &&
      gateway === route.gateway &&
      link === route.link &&
      priority === route.priority,
  );
  return isThere !== isGone;
}

/** The same for links and addresses: those of pods come and go, and matter to nobody here. */
export function contradictsLinks(events: readonly LinkEvent[] | 'overflow', known: Known): boolean {
  return events === 'overflow' || events.some((event) => isNewsOfLink(event, known.underlay));
}

function isNewsOfLink(event: LinkEvent, { links, addresses }: UnderlayFacts): boolean {
  switch (event.kind) {
    case 'forwarding':
      return true;
    case 'port':
      return false;
    case 'address': {
      const { link, address } = event.address;
      const isThere = addresses.some((each) => each.link === link && each.address === address);
      return isThere === event.isGone;
    }
    case 'link': {
      const { index, name } = event.link;
      const before = links.find((link) => link.index === index);
      if (name === TUNNEL_NAME) return true;
      if (before === undefined) return false;
      return event.isGone || isChanged(before, event.link);
    }
  }
}

/** A link that goes down takes routes with it that nobody tells of (fib_sync_down_dev). */
function isChanged(before: Link, after: Link): boolean {
  return (
    before.isUp !== after.isUp ||
    before.operState !== after.operState ||
    before.mtu !== after.mtu ||
    before.name !== after.name
  );
}
