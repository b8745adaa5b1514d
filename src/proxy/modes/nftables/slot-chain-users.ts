import type { IPFamily } from '../../../net/ip.ts';
import type { Chain } from '../../../nftables/model.ts';
import type { ChangeBatch } from './change-batch.ts';
import { isSlotChain, type SlotChainSpec, slotChain, slotChainName } from './slot-chains.ts';

/** The slot chains in the kernel, and how many frontends go to each. */
export class SlotChainUsers {
  readonly #family: IPFamily;
  readonly #users = new Map<string, number>();
  /** Chains whose rules are known to be right. */
  readonly #written = new Map<string, SlotChainSpec>();

  /** Starts from the chains that are in the kernel. */
  constructor(family: IPFamily, chains: readonly string[]) {
    this.#family = family;
    for (const name of chains) if (isSlotChain(name)) this.#users.set(name, 0);
  }

  /** One frontend more; the chain is written if it may not be there. */
  add(spec: SlotChainSpec, batch: ChangeBatch): void {
    const name = slotChainName(spec);
    if (!this.#written.has(name)) batch.putChain(slotChain(this.#family, spec));
    this.#written.set(name, spec);
    this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
  }

  remove(spec: SlotChainSpec): void {
    const name = slotChainName(spec);
    this.#users.set(name, (this.#users.get(name) ?? 1) - 1);
  }

  /** The chains whose rules are known to be right. */
  written(): readonly Chain[] {
    return Array.from(this.#written.values(), (spec) => slotChain(this.#family, spec));
  }

  /** Chains that no frontend goes to. */
  unused(): readonly string[] {
    return [...this.#users].flatMap(([name, users]) => (users === 0 ? [name] : []));
  }

  /** Takes note that a chain is gone from the kernel. */
  forget(name: string): void {
    this.#users.delete(name);
    this.#written.delete(name);
  }
}
