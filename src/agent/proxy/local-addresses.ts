import { watchLinks } from '../../kernel/link-monitor.ts';
import { openRtnl } from '../../kernel/rtnl.ts';
import type { LinkAddress } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';

/** Addresses come in bursts: a link that goes up, IPv6 after duplicate detection. */
const QUIET_MS = 100;

/** The addresses of all of this node's links, as they are now. */
export interface LocalAddresses {
  /** Costs nothing: they are known from the kernel's notifications. */
  read(): readonly IP[];
  close(): void;
}

/**
 * Follows the addresses of this namespace and tells when the set of them has changed. Link-local ones
 * are read but not told: every pod's link brings one.
 */
export function followLocalAddresses(clock: Clock, onChange: () => void): LocalAddresses {
  let known = readAddresses();
  let cancel: (() => void) | undefined;
  const look = () => {
    cancel = undefined;
    const found = readAddresses();
    if (isSameSet(found, known)) return;
    known = found;
    onChange();
  };
  const watch = watchLinks(undefined, () => {
    cancel ??= clock.schedule(QUIET_MS, look);
  }, ['address']);
  return {
    read: () => known.map(({ address }) => address),
    close: () => {
      cancel?.();
      watch.close();
    },
  };
}

function readAddresses(): readonly LinkAddress[] {
  const rtnl = openRtnl();
  try {
    return rtnl.addresses();
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
