/** The state of a frontend as elements of the table's maps and sets, but for its slots. */
import { type Cidr, networkAddress } from '../../../net/cidr.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { ipBytes, lastBytes } from '../../../nftables/bytes.ts';
import type { Element } from '../../../nftables/model.ts';
import { affinityIdData } from './affinity-rules.ts';
import { CHAIN } from './chain-names.ts';
import type { FrontendState, Pool } from './fragment.ts';
import type { SetName } from './sets.ts';
import { type Scope, type SlotChainSpec, slotChainName } from './slot-chains.ts';

export interface PlacedElement {
  readonly set: SetName;
  readonly element: Element;
}

const FRONTEND_SETS = {
  address: {
    verdicts: 'service-ips',
    checked: 'checked-services',
    outside: 'outside-services',
    refusals: 'no-endpoint-services',
    masqueraded: 'masqueraded-services',
    affinityIds: 'affinity-ids',
    checkClients: `goto ${CHAIN.checkClients}`,
  },
  nodePort: {
    verdicts: 'service-nodeports',
    checked: 'checked-nodeports',
    outside: 'outside-nodeports',
    refusals: 'no-endpoint-nodeports',
    masqueraded: 'masqueraded-nodeports',
    affinityIds: 'affinity-nodeport-ids',
    checkClients: `goto ${CHAIN.checkNodePortClients}`,
  },
} as const satisfies Record<FrontendState['kind'], Record<string, SetName | string>>;

const REFUSED = `goto ${CHAIN.refusedServices}`;
const REFUSALS = { reject: `goto ${CHAIN.reject}`, drop: 'drop' } as const;

/** The map that holds the ServicePort's number for a frontend with session affinity. */
export function affinityIdSet(kind: FrontendState['kind']): SetName {
  return FRONTEND_SETS[kind].affinityIds;
}

/** The maps that may hold an element with the frontend's own key. */
export function keyedSets(kind: FrontendState['kind']): readonly SetName[] {
  const { verdicts, checked, outside, refusals, masqueraded, affinityIds } = FRONTEND_SETS[kind];
  const sets: readonly SetName[] = [
    ...[verdicts, checked, outside, refusals, masqueraded, affinityIds],
  ];
  return kind === 'address' ? [...sets, 'rejected-sources'] : sets;
}

/** The elements of a frontend, at most one for a key and set. */
export function frontendElements(
  family: IPFamily,
  frontend: FrontendState,
): readonly PlacedElement[] {
  const { kind, key, comment, everybody, outside, allowedSources, affinityId } = frontend;
  const sets = FRONTEND_SETS[kind];
  const elements: PlacedElement[] = [];
  const add = (set: SetName, data: string | undefined) => {
    if (data !== undefined) elements.push({ set, element: { key, data, comment } });
  };
  const checksClients = outside !== undefined || allowedSources.length > 0;
  add(sets.verdicts, checksClients ? sets.checkClients : slotVerdict(frontend, 'everybody'));
  if (checksClients) add(sets.checked, slotVerdict(frontend, 'everybody'));
  if (outside !== undefined) add(sets.outside, slotVerdict(frontend, 'outside') ?? REFUSED);
  add(sets.refusals, refusal(everybody, outside));
  add(sets.masqueraded, masqueradeVerdict(frontend));
  if (allowedSources.length > 0) add('rejected-sources', 'drop');
  if (affinityId !== undefined) {
    elements.push({
      set: sets.affinityIds,
      element: { key, data: affinityIdData(family, affinityId) },
    });
  }
  for (const range of allowedSources) {
    elements.push({ set: 'source-ranges', element: sourceElement(key, range) });
  }
  return elements;
}

/** The slot chain of a pool; undefined without endpoints. */
export function chainOf(frontend: FrontendState, scope: Scope): SlotChainSpec | undefined {
  const pool = frontend[scope];
  if (pool === undefined || pool.slots.length === 0) return undefined;
  return { kind: frontend.kind, scope, count: pool.slots.length, ...pool.picking };
}

function slotVerdict(frontend: FrontendState, scope: Scope): string | undefined {
  const chain = chainOf(frontend, scope);
  return chain && `goto ${slotChainName(chain)}`;
}

/** Only packets that found no endpoint meet it, so it speaks of the pool that may be empty. */
function refusal(everybody: Pool, outside: Pool | undefined): string | undefined {
  const empty = [outside, everybody].find((pool) => pool?.slots.length === 0);
  return empty && REFUSALS[empty.whenEmpty];
}

/** ClusterIPs are masqueraded by their address alone. */
function masqueradeVerdict({ masquerading }: FrontendState): string | undefined {
  switch (masquerading) {
    case 'offCluster':
      return undefined;
    case 'always':
      return `goto ${CHAIN.masqueradeAll}`;
    case 'node':
      return `goto ${CHAIN.masqueradeNode}`;
  }
}

function sourceElement(frontend: string, range: Cidr): Element {
  const key = frontend + ipBytes(networkAddress(range));
  const keyEnd = frontend + lastBytes(range);
  return key === keyEnd ? { key } : { key, keyEnd };
}
