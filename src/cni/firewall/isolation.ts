/**
 * `ingressPolicy`: which bridges may send to which, as chains CNI-ISOLATION-STAGE-1 and -2 of the
 * reference. What is dropped in one table is dropped whatever another accepts, so this is a table of our
 * own, the same for one bridge and for many:
 *
 *     isolated     bridge . the same bridge   its pods do not even reach each other through the node
 *     same-bridge  bridge . the same bridge   its pods reach each other
 *     bridges      bridge                     none of these reaches another of these
 *
 * Between pods on one bridge only packets that pass the node are seen: those that br_netfilter shows, there as here,
 * and those of pods that reach each other through the node (`policy`, see ../bridge/same-node.ts).
 */
import { ifnameBytes } from '../../nftables/bytes.ts';
import { type HealingConnection, healTable, type WantedTable } from '../../nftables/heal-table.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
import type { Element, NamedSet, TableDefinition } from '../../nftables/model.ts';
import { meta } from '../../nftables/selectors.ts';
import { drop, lookup, returnVerdict } from '../../nftables/statements.ts';
import type { Isolation } from '../attachment-records.ts';
import type { Result } from '../protocol/result.ts';

/** The part of NftablesConnection that is needed. */
export type IsolationTables = HealingConnection;

const WAY = [meta.iifname, meta.oifname];
const ISOLATED: NamedSet = { name: 'isolated', key: WAY };
const SAME_BRIDGE: NamedSet = { name: 'same-bridge', key: WAY };
const BRIDGES: NamedSet = { name: 'bridges', key: [meta.iifname] };

export const ISOLATION_TABLE: TableDefinition = {
  table: { family: 'inet', name: 'weft-isolation', comment: 'bridges that do not reach others' },
  sets: [ISOLATED, SAME_BRIDGE, BRIDGES],
  chains: [
    {
      name: 'forward',
      base: { type: 'filter', hook: 'forward', priority: HOOK_PRIORITY.filter },
      rules: [
        { statements: [lookup(WAY, ISOLATED.name), drop] },
        { statements: [lookup(WAY, SAME_BRIDGE.name), returnVerdict] },
        {
          statements: [
            lookup([meta.iifname], BRIDGES.name),
            lookup([meta.oifname], BRIDGES.name),
            drop,
          ],
        },
      ],
    },
  ],
};

/**
 * The bridge that the policy is for: the first interface of the result, which is where the reference
 * takes it from. Throws as it does.
 */
export function isolationOf(policy: Isolation['policy'], { interfaces }: Result): Isolation {
  const [bridge] = interfaces;
  if (bridge === undefined) {
    throw new Error(
      `interface needs to be set for ingress policy "${policy}", make sure to chain "firewall" plugin with "bridge"`,
    );
  }
  if (bridge.name === '') throw new Error('got empty bridge name');
  return { bridge: bridge.name, policy };
}

/** Adds what is missing. As with the reference it stays: other pods may be on the bridge. */
export function isolate(nft: IsolationTables, isolation: Isolation): void {
  healTable(nft, () => isolationElements([isolation]));
}

/** Throws when an element is missing. */
export function requireIsolation(nft: IsolationTables, isolation: Isolation): void {
  const { table, sets } = ISOLATION_TABLE;
  const isThere = nft.tables(table.family).some(({ name }) => name === table.name);
  const names = new Set(isThere ? nft.sets(table).map(({ name }) => name) : []);
  for (const [set, wanted] of isolationElements([isolation])?.elements ?? []) {
    const present = names.has(set.name) ? nft.elements(table, set) : [];
    const keys = new Set(present.map(({ key }) => key));
    if (wanted.every(({ key }) => keys.has(key)) && sets.every(({ name }) => names.has(name)))
      continue;
    throw new Error(`bridge "${isolation.bridge}" is missing in set ${set.name} of ${table.name}`);
  }
}

/** None needs no table. */
export function isolationElements(wanted: readonly Isolation[]): WantedTable | undefined {
  if (wanted.length === 0) return undefined;
  const names = (policy: Isolation['policy'] | undefined) => {
    const some = wanted.filter((each) => policy === undefined || each.policy === policy);
    return [...new Set(some.map(({ bridge }) => bridge))];
  };
  const ways = (policy: Isolation['policy']): readonly Element[] =>
    names(policy).map((bridge) => ({ key: ifnameBytes(bridge) + ifnameBytes(bridge) }));
  return {
    definition: ISOLATION_TABLE,
    isOwnChain: () => false,
    elements: new Map<NamedSet, readonly Element[]>([
      [ISOLATED, ways('isolated')],
      [SAME_BRIDGE, ways('same-bridge')],
      [BRIDGES, names(undefined).map((bridge) => ({ key: ifnameBytes(bridge) }))],
    ]),
  };
}
