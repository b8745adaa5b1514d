import type { IP } from '../net/ip.ts';
import type { FabricNode } from './nodes.ts';
import type { UnderlayFacts } from './underlay.ts';

/** What to plan by. */
export interface HeldFacts {
  readonly facts: UnderlayFacts;
  /** Addresses of the Node that were on its links until a moment ago; while there are any, facts are from before. */
  readonly missing: readonly IP[];
  /** When this ends; undefined while none is missing. */
  readonly leftMs?: number;
}

/** As long as a DHCP client, networkd or NetworkManager takes to give an address back. */
const HOLD_MS = 15_000;

/**
 * Goes by what was there before while an address of the Node is gone for a moment: without it the tunnel
 * would be made anew in the other family, which no peer sends to.
 */
export class UnderlayHold {
  #last: UnderlayFacts | undefined;
  #present: readonly IP[] = [];
  #missingSinceMs: number | undefined;

  /** `nowMs` is by `Clock.elapsed`. What the Node does not say any more is not waited for. */
  of(facts: UnderlayFacts, addresses: FabricNode['addresses'], nowMs: number): HeldFacts {
    const said = Object.values(addresses);
    const isOnLink = (ip: IP) => facts.addresses.some(({ address }) => address === ip);
    const missing = this.#present.filter((ip) => said.includes(ip) && !isOnLink(ip));
    if (missing.length > 0 && this.#last !== undefined) {
      this.#missingSinceMs ??= nowMs;
      const leftMs = this.#missingSinceMs + HOLD_MS - nowMs;
      if (leftMs > 0) return { facts: this.#last, missing, leftMs };
    }
    this.#missingSinceMs = undefined;
    this.#last = facts;
    this.#present = said.filter(isOnLink);
    return { facts, missing: [] };
  }
}

export function missingText(missing: readonly IP[]): string | undefined {
  if (missing.length === 0) return undefined;
  return `no link has the InternalIP ${missing.join(' or ')} at the moment: what was there is kept for a while`;
}
