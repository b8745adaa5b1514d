/**
 * macspoofchk as elements of table `bridge weft-spoof`: from a guarded port only frames of the pod's
 * own hardware address enter. A pod costs two elements; the one rule never changes.
 */
import type { Mac } from '../../net/mac.ts';
import { ifnameBytes, macBytes } from '../../nftables/bytes.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
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
export const GUARDED_PORTS: NamedSet = { name: 'guarded-ports', key: [meta.iifname] };

/** `port . hardware address` pairs that may pass. */
export const ALLOWED_SENDERS: NamedSet = {
  name: 'allowed-senders',
  key: [meta.iifname, ether.saddr],
};

const SPOOF_CHAIN: Chain = {
  name: 'prerouting',
  base: { type: 'filter', hook: 'prerouting', priority: HOOK_PRIORITY.bridgedDestinationNat },
  rules: [
    {
      statements: [
        lookup(GUARDED_PORTS.key, GUARDED_PORTS.name),
        lookup(ALLOWED_SENDERS.key, ALLOWED_SENDERS.name, { isNegated: true }),
        drop,
      ],
    },
  ],
};

export const SPOOF_TABLE = new SharedTable({
  table: { family: 'bridge', name: 'weft-spoof', comment: 'hardware addresses pods may use' },
  sets: [GUARDED_PORTS, ALLOWED_SENDERS],
  chains: [SPOOF_CHAIN],
});

/** Guards a port. The allowed address comes first: a port is never guarded without one. */
export function guardPort(nft: Nftables, port: GuardedPort, comment: string): void {
  const { guarded, allowed } = keysOf(port);
  SPOOF_TABLE.add(nft, `guard ${port.name}`, [
    { set: ALLOWED_SENDERS, element: { key: allowed, comment } },
    { set: GUARDED_PORTS, element: { key: guarded, comment } },
  ]);
}

/** Stops guarding ports, whatever addresses were allowed; ports that are not guarded are no error. */
export function unguardPorts(nft: Nftables, names: readonly string[]): void {
  if (names.length === 0 || !SPOOF_TABLE.isThere(nft)) return;
  const prefixes = new Set(names.map(ifnameBytes));
  const elements = [GUARDED_PORTS, ALLOWED_SENDERS].flatMap((set) => {
    return SPOOF_TABLE.elements(nft, set)
      .filter(({ key }) => prefixes.has(key.slice(0, IFNAME_LENGTH)))
      .map(({ key }) => ({ set, element: { key } }));
  });
  SPOOF_TABLE.remove(nft, elements, { areExpected: true });
}

/** Whether frames of other senders are dropped at this port now. */
export function isGuarded(nft: Nftables, port: GuardedPort): boolean {
  const { guarded, allowed } = keysOf(port);
  const has = (set: NamedSet, key: string) =>
    SPOOF_TABLE.elements(nft, set).some((element) => element.key === key);
  return has(GUARDED_PORTS, guarded) && has(ALLOWED_SENDERS, allowed);
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

function keysOf({ name, mac }: GuardedPort) {
  const guarded = ifnameBytes(name);
  return { guarded, allowed: guarded + macBytes(mac) };
}
