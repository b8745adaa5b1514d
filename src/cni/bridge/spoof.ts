/**
 * macspoofchk as elements of table `bridge weft-spoof`: from a guarded port only frames of the pod's
 * own hardware address enter. A pod costs two elements; the one rule never changes.
 */
import type { Mac } from '../../net/mac.ts';
import { ifnameBytes, macBytes } from '../../nftables/bytes.ts';
import { hookPriority } from '../../nftables/hook-priorities.ts';
import type { Chain, Element, NamedSet, Table } from '../../nftables/model.ts';
import { ether, meta } from '../../nftables/selectors.ts';
import { drop, lookup } from '../../nftables/statements.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { BusyError, errorCode } from '../../util/errors.ts';
import type { Nftables } from '../node.ts';
import { codeOfFailure, elementsOf, removeElements } from './nft-elements.ts';

/** A port of a bridge and the hardware address that may send through it. */
export interface GuardedPort {
  readonly name: string;
  readonly mac: Mac;
}

export const spoofTable: Table = {
  family: 'bridge',
  name: 'weft-spoof',
  comment: 'hardware addresses pods may use',
};

/** Ports whose senders are looked at. */
export const guardedPorts: NamedSet = { name: 'guarded-ports', key: [meta.iifname] };

/** `port . hardware address` pairs that may pass. */
export const allowedSenders: NamedSet = {
  name: 'allowed-senders',
  key: [meta.iifname, ether.saddr],
};

/** Bounds the race with others who create or delete the same table. */
const maxAttempts = 5;

export const spoofChain: Chain = {
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

/** Guards a port; the structure is made by whoever needs it first. */
export function guardPort(nft: Nftables, port: GuardedPort, comment: string): void {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const code = codeOfFailure(() => nft.commit(guardTransaction(port, comment)), ['ENOENT']);
    if (code === undefined) return;
    codeOfFailure(() => nft.commit(structure()), ['EEXIST']);
  }
  throw new BusyError(`guard ${port.name}: table ${spoofTable.name} keeps changing`);
}

/** Stops guarding ports, whatever addresses were allowed; ports that are not guarded are no error. */
export function unguardPorts(nft: Nftables, names: readonly string[]): void {
  if (names.length === 0 || !hasSpoofTable(nft)) return;
  const prefixes = new Set(names.map(ifnameBytes));
  const elements = [guardedPorts, allowedSenders].flatMap((set) => {
    return elementsOf(nft, spoofTable, set)
      .filter(({ key }) => prefixes.has(key.slice(0, ifnameLength)))
      .map(({ key }) => ({ set, key }));
  });
  removeElements(nft, spoofTable, elements, true);
}

/** Whether frames of other senders are dropped at this port now. */
export function isGuarded(nft: Nftables, port: GuardedPort): boolean {
  const { guarded, allowed } = keysOf(port);
  const has = (set: NamedSet, key: string) =>
    elementsOf(nft, spoofTable, set).some((element) => element.key === key);
  return has(guardedPorts, guarded) && has(allowedSenders, allowed);
}

/** Guarded ports with the label of their attachment. */
export function guardedLabels(
  nft: Nftables,
): readonly { readonly port: string; readonly label: string }[] {
  if (!hasSpoofTable(nft)) return [];
  return elementsOf(nft, spoofTable, guardedPorts).map(({ key, comment = '' }) => {
    const bytes = Buffer.from(key, 'latin1');
    return { port: bytes.toString('utf8').replace(/\0.*$/s, ''), label: comment };
  });
}

const ifnameLength = 16;

function hasSpoofTable(nft: Nftables): boolean {
  try {
    return nft.tables('bridge').some(({ name }) => name === spoofTable.name);
  } catch (thrown) {
    if (errorCode(thrown) === 'EPROTONOSUPPORT') return false;
    throw thrown;
  }
}

function keysOf({ name, mac }: GuardedPort) {
  const guarded = ifnameBytes(name);
  return { guarded, allowed: guarded + macBytes(mac) };
}

/** The allowed address first: a port is never guarded without one. */
function guardTransaction(port: GuardedPort, comment: string): Transaction {
  const { guarded, allowed } = keysOf(port);
  const element = (key: string): Element => ({ key, comment });
  return new Transaction(spoofTable)
    .addElements(allowedSenders, [element(allowed)])
    .addElements(guardedPorts, [element(guarded)]);
}

/** Exclusive creation: of two creators one wins, and no rule appears twice. */
function structure(): Transaction {
  return new Transaction(spoofTable)
    .addTable({ isExclusive: true })
    .addSet(guardedPorts, { isExclusive: true })
    .addSet(allowedSenders, { isExclusive: true })
    .addChain(spoofChain, { isExclusive: true });
}
