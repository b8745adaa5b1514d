/** The chains that draw one of a frontend's slots and rewrite the destination to what it holds. */
import type { IPFamily } from '../../../net/ip.ts';
import { jhash, numgenRandom } from '../../../nftables/generators.ts';
import type { Chain } from '../../../nftables/model.ts';
import { dnatToMap } from '../../../nftables/statements.ts';
import { affinityRules } from './affinity-rules.ts';
import { rule } from './chain-names.ts';
import { fieldsOf, PORT_KEY } from './fields.ts';
import type { SetName } from './sets.ts';

/** A frontend is an address with a port, or a port of the node. */
export type FrontendKind = 'address' | 'nodePort';

/** Whose connections a pool of slots is for. */
export type Scope = 'everybody' | 'outside';

/** How the endpoint of a new connection is found. */
export interface Picking {
  /** Whether the client's address decides on the slot, or chance. */
  readonly isHashed: boolean;
  /** How long a client is remembered; undefined: not at all. */
  readonly affinitySeconds: number | undefined;
  /** Only endpoints of this node serve those who are remembered. */
  readonly isLocal: boolean;
}

/** What tells one slot chain from another. */
export interface SlotChainSpec extends Picking {
  readonly kind: FrontendKind;
  readonly scope: Scope;
  /** Number of slots. */
  readonly count: number;
}

const LETTERS = {
  address: { everybody: 'n', outside: 'l' },
  nodePort: { everybody: 'p', outside: 'q' },
} as const;

const SLOT_SETS = {
  address: { everybody: 'endpoints', outside: 'local-endpoints' },
  nodePort: { everybody: 'nodeport-endpoints', outside: 'local-nodeport-endpoints' },
} as const satisfies Record<FrontendKind, Record<Scope, SetName>>;

/** The same on all nodes, so that a client finds the same endpoint through each. */
export const HASH_SEED = 0x77656674;

/** The map that holds the slots. */
export function slotSet(kind: FrontendKind, scope: Scope): SetName {
  return SLOT_SETS[kind][scope];
}

/**
 * `n5`: spreads connections to an address over five endpoints, `p5`: those to a NodePort; `l5` and
 * `q5`: those of outside clients to such frontends with `externalTrafficPolicy: Local`. Behind
 * that `-hash` and `-affinity-<seconds>`, or `-local-affinity-<seconds>` where everybody is served
 * by endpoints of this node only.
 */
export function slotChainName(spec: SlotChainSpec): string {
  const { kind, scope, count, isHashed, affinitySeconds, isLocal } = spec;
  const local = isLocal && scope === 'everybody' ? '-local' : '';
  const affinity = affinitySeconds === undefined ? '' : `${local}-affinity-${affinitySeconds}`;
  return `${LETTERS[kind][scope]}${count}${isHashed ? '-hash' : ''}${affinity}`;
}

/** Whether a chain of that name is a slot chain. */
export function isSlotChain(name: string): boolean {
  return /^[nplq][1-9]\d*(-hash)?((-local)?-affinity-\d+)?$/.test(name);
}

/** The chain that slotChainName names. */
export function slotChain(family: IPFamily, spec: SlotChainSpec): Chain {
  const { kind, scope, count, isHashed, affinitySeconds, isLocal } = spec;
  const { saddr, addressKey } = fieldsOf(family);
  const key = kind === 'address' ? addressKey : PORT_KEY;
  const slots = slotSet(kind, scope);
  const hashSeed = isHashed ? HASH_SEED : undefined;
  const slot = isHashed ? jhash([saddr], count, { seed: HASH_SEED }) : numgenRandom(count);
  const forgetful = rule([dnatToMap(family === 4 ? 'ip' : 'ip6', [...key, slot], slots)]);
  const remembering =
    affinitySeconds === undefined
      ? []
      : affinityRules(family, { kind, key, slots, count, hashSeed, affinitySeconds, isLocal });
  return { name: slotChainName(spec), rules: [...remembering, forgetful] };
}
