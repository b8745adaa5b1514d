/**
 * Whom pods may send as, as elements of table `bridge weft-spoof`: their own hardware address with macspoofchk,
 * and where policies are enforced their own addresses too, since policies go by those.
 */
import { type IP, ipFamily } from '../../net/ip.ts';
import { linkLocalOf, type Mac } from '../../net/mac.ts';
import { ifnameBytes, ipBytes, macBytes } from '../../nftables/bytes.ts';
import type { NamedSet } from '../../nftables/model.ts';
import { type PlacedElement, SharedTable } from '../../nftables/shared-table.ts';
import type { Nftables } from '../node.ts';
import type { PortPlan, PortSenders } from '../node-plan.ts';
import {
  ALLOWED_SENDERS,
  GUARDED_PORTS,
  SENDER_ADDRESSES,
  SPOOF_CHAINS,
  TIED_PORTS,
} from './spoof-rules.ts';

/** What of a port says who may send there. */
export type GuardedPort = Pick<PortPlan, 'name' | 'allowedMac' | 'senders'>;

export const SPOOF_TABLE = new SharedTable({
  table: { family: 'bridge', name: 'weft-spoof', comment: 'addresses that pods may send under' },
  sets: [GUARDED_PORTS, ALLOWED_SENDERS, TIED_PORTS, SENDER_ADDRESSES[4], SENDER_ADDRESSES[6]],
  chains: SPOOF_CHAINS,
});

/** By policies; undefined for a port that has addresses which nobody here knows. */
export function sendersOf(
  { vlans }: Pick<PortPlan, 'vlans'>,
  macs: readonly Mac[],
  addresses: readonly IP[],
): PortSenders | undefined {
  const isTrunk = vlans.some(({ isUntagged }) => isUntagged !== true);
  return isTrunk || addresses.length === 0 ? undefined : { macs, addresses };
}

/** Whether anything of a port is looked at. */
export function isLookedAt({ allowedMac, senders }: GuardedPort): boolean {
  return allowedMac !== undefined || senders !== undefined;
}

/** Guards a port. What it may send as comes first: a port is never guarded without. */
export function guardPort(nft: Nftables, port: GuardedPort, comment: string): void {
  SPOOF_TABLE.add(nft, `guard ${port.name}`, guardElements(port, comment));
}

/** None for a port that is not looked at. */
export function guardElements(port: GuardedPort, comment: string): readonly PlacedElement[] {
  const { name, allowedMac, senders } = port;
  if (!isLookedAt(port)) return [];
  const iifname = ifnameBytes(name);
  const place = (set: NamedSet, key: string): PlacedElement => ({ set, element: { key, comment } });
  const macs = new Set([
    ...(allowedMac === undefined ? [] : [allowedMac]),
    ...(senders?.macs ?? []),
  ]);
  const addresses = (senders?.macs ?? []).flatMap((mac) =>
    [...(senders?.addresses ?? []), linkLocalOf(mac)].map((address) =>
      place(SENDER_ADDRESSES[ipFamily(address)], iifname + macBytes(mac) + ipBytes(address)),
    ),
  );
  return [
    ...[...macs].map((mac) => place(ALLOWED_SENDERS, iifname + macBytes(mac))),
    ...addresses,
    place(GUARDED_PORTS, iifname),
    ...(senders === undefined ? [] : [place(TIED_PORTS, iifname)]),
  ];
}

/** Removes what these ports were guarded by; what is not there is no error. */
export function unguardPorts(nft: Nftables, ports: readonly GuardedPort[]): void {
  const elements = ports.flatMap((port) => guardElements(port, ''));
  SPOOF_TABLE.remove(nft, elements, { areExpected: true });
}

/** Stops guarding ports of which only the names are known; those that are not guarded are no error. */
export function unguardNames(nft: Nftables, names: readonly string[]): void {
  if (names.length === 0 || !SPOOF_TABLE.isThere(nft)) return;
  const prefixes = new Set(names.map(ifnameBytes));
  const elements = SPOOF_TABLE.definition.sets.flatMap((set) => {
    return SPOOF_TABLE.elements(nft, set)
      .filter(({ key }) => prefixes.has(key.slice(0, IFNAME_LENGTH)))
      .map(({ key }) => ({ set, element: { key } }));
  });
  SPOOF_TABLE.remove(nft, elements, { areExpected: true });
}

/** Whether frames of other senders are dropped at this port now. */
export function isGuarded(nft: Nftables, port: GuardedPort): boolean {
  const bySet = Map.groupBy(guardElements(port, ''), ({ set }) => set);
  return [...bySet].every(([set, placed]) => {
    const present = new Set(SPOOF_TABLE.elements(nft, set).map(({ key }) => key));
    return placed.every(({ element }) => present.has(element.key));
  });
}

/** Guarded ports with the label of their attachment. */
export function guardedLabels(
  nft: Nftables,
): readonly { readonly port: string; readonly label: string }[] {
  if (!SPOOF_TABLE.isThere(nft)) return [];
  return SPOOF_TABLE.elements(nft, GUARDED_PORTS).map(({ key, comment = '' }) => {
    const bytes = Buffer.from(key, 'latin1');
    return { port: bytes.toString('utf8').replace(/\0.*$/s, ''), label: comment };
  });
}

const IFNAME_LENGTH = 16;
