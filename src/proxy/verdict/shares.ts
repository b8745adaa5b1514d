import type { IP } from '../../net/ip.ts';
import { ipBytes } from '../../nftables/bytes.ts';
import { jhashModulo } from '../../nftables/jhash.ts';
import type { Balance } from '../balancing.ts';
import { targetBytes } from '../modes/nftables/fragment.ts';
import { maglevSlots } from '../modes/nftables/maglev.ts';
import { HASH_SEED } from '../modes/nftables/slot-chains.ts';
import type { Route } from '../state.ts';

/** How the endpoint of a new connection is found. */
export interface Picking {
  readonly balance: Balance;
  /** The client's slot and the number of slots, where its address decides. */
  readonly hashSlot: { readonly slot: number; readonly count: number } | undefined;
  /** Side by side with the route's endpoints: share of this client's new connections, 0 to 1. */
  readonly shares: readonly number[];
}

/** Which share of its connections a client makes to each endpoint of a route that has some. */
export function pick(route: Route, balance: Balance, client: IP): Picking {
  return balance === 'random' ? pickAtRandom(route) : pickByHash(route, client);
}

function pickAtRandom({ endpoints, weights }: Route): Picking {
  const total = weights?.reduce((sum, weight) => sum + weight, 0) ?? endpoints.length;
  const shares = endpoints.map((_, i) => (weights?.[i] ?? 1) / total);
  return { balance: 'random', hashSlot: undefined, shares };
}

function pickByHash({ endpoints, weights }: Route, client: IP): Picking {
  const targets = endpoints.map(targetBytes);
  const slots = maglevSlots(targets, weights);
  const slot = jhashModulo(ipBytes(client), slots.length, HASH_SEED);
  const chosen = slots[slot];
  return {
    balance: 'source-hash',
    hashSlot: { slot, count: slots.length },
    shares: targets.map((target) => (target === chosen ? 1 : 0)),
  };
}
