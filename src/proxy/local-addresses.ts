import type { LinkEvent } from '../kernel/link-monitor.ts';
import type { NodeEvents, Watch } from '../kernel/node-events.ts';
import { openRtnl } from '../kernel/rtnl.ts';
import type { LinkAddress } from '../kernel/types.ts';
import type { IP } from '../net/ip.ts';
import type { Clock } from '../util/clock.ts';
import { PORTAL_LINK } from './modes/ipvs/portal-link.ts';
import { isOurs as isVirtualAddress } from './modes/userspace/virtual-addresses.ts';

/** Addresses come in bursts: a link that goes up, IPv6 after duplicate detection. */
const QUIET_MS = 100;
/** Where they could not be read: no descriptor, or a listing that changes broke off. */
const RETRY_MS = 1_000;

/**
 * The addresses of all of this node's links, as they are now, but for those of Services that IPVS mode
 * and userspace mode add: nobody is to find NodePorts at the address of a Service.
 */
export interface LocalAddresses {
  /** Costs nothing: they are known from the kernel's notifications. */
  read(): readonly IP[];
  close(): void;
}

/**
 * Follows the addresses of this namespace and tells when the set of them has changed. Link-local ones
 * are read but not told: every pod's link brings one.
 */
export function followLocalAddresses(
  events: Pick<NodeEvents, 'onLinks'>,
  clock: Clock,
  onChange: () => void,
): LocalAddresses {
  let known: KnownAddresses;
  let cancel: (() => void) | undefined;
  const look = () => {
    cancel = undefined;
    const before = known;
    try {
      known = readAddresses();
    } catch {
      cancel = clock.schedule(RETRY_MS, look);
      return;
    }
    if (!isSameSet(known.addresses, before.addresses)) onChange();
  };
  const watch = watchAddresses(
    events,
    () => known,
    () => {
      cancel ??= clock.schedule(QUIET_MS, look);
    },
  );
  // Not before there is a watch: what changed in between would never be told.
  known = readAddresses();
  return {
    read: () => known.addresses.map(({ address }) => address),
    close: () => {
      cancel?.();
      watch.close();
    },
  };
}

/** The same for who asks at any time and may not get what was true a moment ago. */
export function readLocalAddresses(events: Pick<NodeEvents, 'onLinks'>): LocalAddresses {
  let known: KnownAddresses | undefined;
  const watch = watchAddresses(
    events,
    () => known,
    () => {
      known = undefined;
    },
  );
  return {
    read: () => {
      known ??= readAddresses();
      return known.addresses.map(({ address }) => address);
    },
    close: () => watch.close(),
  };
}

interface KnownAddresses {
  readonly addresses: readonly LinkAddress[];
  /** Index of the link that is left out. */
  readonly portals: number | undefined;
}

/** Thousands of addresses may come and go on the link that is left out. */
function watchAddresses(
  events: Pick<NodeEvents, 'onLinks'>,
  known: () => KnownAddresses | undefined,
  onChange: () => void,
): Watch {
  return events.onLinks(['address'], (changes) => {
    const portals = known()?.portals;
    const isLeftOut = (event: LinkEvent) =>
      event.kind === 'address' && event.address.link === portals;
    if (changes === 'overflow' || !changes.every(isLeftOut)) onChange();
  });
}

function readAddresses(): KnownAddresses {
  const rtnl = openRtnl();
  try {
    const portals = rtnl.link(PORTAL_LINK)?.index;
    const isServices = (each: LinkAddress & { readonly link: number }) =>
      each.link === portals || isVirtualAddress(each);
    return { addresses: rtnl.addresses().filter((each) => !isServices(each)), portals };
  } finally {
    rtnl.close();
  }
}

function isSameSet(left: readonly LinkAddress[], right: readonly LinkAddress[]): boolean {
  const [known, found] = [told(left), told(right)];
  return known.size === found.size && [...found].every((address) => known.has(address));
}

function told(addresses: readonly LinkAddress[]): ReadonlySet<IP> {
  return new Set(addresses.filter(({ scope }) => scope !== 'link').map(({ address }) => address));
}
