/**
 * macspoofchk as elements of table `bridge weft-spoof`: from a guarded port only frames of the pod's
 * own hardware address enter. A pod costs two elements; the one rule never changes.
 */
import type { Mac } from '../../net/mac.ts';
import { ifnameBytes, macBytes } from '../../nftables/bytes.ts';
import { hookPriority } from '../../nftables/hook-priorities.ts';
import type { Chain, NamedSet } from '../../nftables/model.ts';
import { ether, meta } from '../../nftables/selectors.ts';
import { SharedTable } from '../../nftables/shared-table.ts';
import { drop, lookup } from '../../nftables/statements.ts';
import type { Nftables } from '../node.ts';

/** A port of a bridge and the hardware address that may send through it. */
export interface GuardedPort {
  readonly name: string;
  readonly mac: Mac;
}

/** Ports whose senders are looked at. */
export const guardedPorts: NamedSet = { name: 'guarded-ports', key: [meta.iifname] };

/** `port . hardware address` pairs that may pass. */
export const allowedSenders: NamedSet = {
  name: 'allowed-senders',
  key: [meta.iifname, ether.saddr],
};

const spoofChain: Chain = {
  name: 'prerouting',
  base: { type: 'filter', hook: 'prerouting', priority: hookPriority.bridgedDestinationNat },
  rules: [
    {
      statements: [
        lookup(guardedPorts.key, guardedPorts.name),
        lookup(allowedSenders.key, allowedSenders.name, { isNegated: true }),
        drop,
      ],
    },
  ],
};

export const spoofTable = new SharedTable({
  table: { family: 'bridge', name: 'weft-spoof', comment: 'hardware addresses pods may use' },
  sets: [guardedPorts, allowedSenders],
  chains: [spoofChain],
});

/** Guards a port. The allowed address comes first: a port is never guarded without one. */
export function guardPort(nft: Nftables, port: GuardedPort, comment: string): void {
  const { guarded, allowed } = keysOf(port);
  spoofTable.add(nft, `guard ${port.name}`, [
    { set: allowedSenders, element: { key: allowed, comment } },
    { set: guardedPorts, element: { key: guarded, comment } },
  ]);
}

/** Stops guarding ports, whatever addresses were allowed; ports that are not guarded are no error. */
export function unguardPorts(nft: Nftables, names: readonly string[]): void {
  if (names.length === 0 || !spoofTable.isThere(nft)) return;
  const prefixes = new Set(names.map(ifnameBytes));
  const elements = [guardedPorts, allowedSenders].flatMap((set) => {
    return spoofTable
      .elements(nft, set)
      .filter(({ key }) => prefixes.has(key.slice(0, ifnameLength)))
      .map(({ key }) => ({ set, element: { key } }));
  });
  spoofTable.remove(nft, elements, { areExpected: true });
}

/** Whether frames of other senders are dropped at this port now. */
export function isGuarded(nft: Nftables, port: GuardedPort): boolean {
  const { guarded, allowed } = keysOf(port);
  const has = (set: NamedSet, key: string) =>
    spoofTable.elements(nft, set).some((element) => element.key === key);
  return has(guardedPorts, guarded) && has(allowedSenders, allowed);
}

/** Guarded ports with the label of their attachment. */
export function guardedLabels(
  nft: Nftables,
): readonly { readonly port: string; readonly label: string }[] {
  if (!spoofTable.isThere(nft)) return [];
  return spoofTable.elements(nft, guardedPorts).map(({ key, comment = '' }) => {
    const bytes = Buffer.from(key, 'latin1');
    return { port: bytes.toString('utf8').replace(/\0.*$/s, ''), label: comment };
  });
}

const ifnameLength = 16;

function keysOf({ name, mac }: GuardedPort) {
  const guarded = ifnameBytes(name);
  return { guarded, allowed: guarded + macBytes(mac) };
}
