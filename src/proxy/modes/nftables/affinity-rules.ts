/**
 * Session affinity: a client's first connection to a ServicePort decides on the endpoint of all that
 * follow, until it has made none for so long. What is remembered, in maps shared by all Services:
 *
 *     affinity-ids           VIP                    -> 0 . id . 0 . id      one id per ServicePort
 *     affinity               id . client address    -> endpoint address . port, written by rules
 *     affine-endpoints       id . endpoint address . port                   who may be remembered
 *
 * An endpoint that goes is taken out of affine-endpoints only: clients that remember it draw again.
 *
 * Each result is part of the next key, so these rules name registers. Two lie side by side, in
 * slots of four bytes, A being the size of an address: `id 1 . client 2` and `id 2+A . endpoint 3+A
 * . port 3+2A`; affinity-ids gives both ids at once. It begins a slot early because nft 1.0.6 aborts
 * when it lists a rule whose key begins with a register that a map was read into, while one that
 * was filled from before its beginning is unknown to it: it prints nothing for that rule.
 */
import type { IPFamily } from '../../../net/ip.ts';
import { readU32Bytes, u32Bytes } from '../../../nftables/bytes.ts';
import { numgenRandom } from '../../../nftables/generators.ts';
import type { Rule } from '../../../nftables/model.ts';
import {
  deleteRegisters,
  dnatRegisters,
  hashRegisters,
  loadRegisters,
  lookupRegisters,
  type RegisterStatement,
  updateRegisters,
} from '../../../nftables/register-statements.ts';
import { paddedLength, slotsOf } from '../../../nftables/registers.ts';
import type { Selector } from '../../../nftables/selectors.ts';
import { rule } from './chain-names.ts';
import { fieldsOf } from './fields.ts';
import type { SetName } from './sets.ts';

interface AffinityChain {
  readonly kind: 'address' | 'nodePort';
  readonly key: readonly Selector[];
  /** The map with the slots behind that key. */
  readonly slots: SetName;
  readonly count: number;
  /** Undefined: chance decides on the slot. */
  readonly hashSeed: number | undefined;
  readonly affinitySeconds: number;
  readonly isLocal: boolean;
}

const ID_SETS = { address: 'affinity-ids', nodePort: 'affinity-nodeport-ids' } as const;

/** What affinity-ids holds for a ServicePort: its id twice, where the rules want it. */
export function affinityIdData(family: IPFamily, id: number): string {
  const bytes = u32Bytes(id);
  return u32Bytes(0) + bytes + '\0'.repeat(family === 4 ? 4 : 16) + bytes;
}

/** Reads what affinityIdData wrote. */
export function readAffinityId(data: string): number {
  return readU32Bytes(data, 4);
}

/** Where keys of frontends are loaded; with a drawn slot they reach to the last register but one. */
const KEY_SLOT = 8;
const CLIENT_SLOT = 2;

/** Follow the memory if there is one; draw an endpoint and remember it if the map has room. */
export function affinityRules(family: IPFamily, chain: AffinityChain): readonly Rule[] {
  const { kind, key, slots, affinitySeconds, isLocal } = chain;
  const { saddr } = fieldsOf(family);
  const words = slotsOf(saddr.length);
  const client = { keySlot: 1, dataSlot: 3 + words };
  const target = { addressSlot: 3 + words, portSlot: 3 + 2 * words };
  const start = [
    loadRegisters(key, KEY_SLOT),
    lookupRegisters(ID_SETS[kind], { keySlot: KEY_SLOT, dataSlot: 0 }),
    loadRegisters([saddr], CLIENT_SLOT),
  ];
  const end = [
    updateRegisters('affinity', { ...client, timeoutMs: affinitySeconds * 1000 }),
    dnatRegisters(family === 4 ? 'ip' : 'ip6', target),
  ];
  const valid = isLocal ? 'affine-local-endpoints' : 'affine-endpoints';
  const follow = [
    lookupRegisters('affinity', client),
    lookupRegisters(valid, { keySlot: 2 + words }),
  ];
  const choose = [
    draw(chain, saddr.length),
    lookupRegisters(slots, { keySlot: KEY_SLOT, dataSlot: target.addressSlot }),
    // An update alone would renew the memory of an endpoint that is gone.
    deleteRegisters('affinity', client),
  ];
  return [
    rule([...start, ...follow, ...end], 'a client that is remembered'),
    rule([...start, ...choose, ...end], 'a client that will be remembered'),
  ];
}

/** Loads a slot number behind the key. */
function draw({ key, count, hashSeed }: AffinityChain, addressBytes: number): RegisterStatement {
  const slot = KEY_SLOT + paddedLength(key) / 4;
  if (hashSeed === undefined) return loadRegisters([numgenRandom(count)], slot);
  const source = { keySlot: CLIENT_SLOT, length: addressBytes };
  return hashRegisters({ ...source, slot, modulus: count, seed: hashSeed });
}
