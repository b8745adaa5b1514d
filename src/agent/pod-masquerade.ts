import type { FabricTableFacts } from '../fabric/table/facts.ts';
import { readMasqueraded } from '../fabric/table/kernel-view.ts';
import { ALWAYS_DIRECT, masqueradedNetworks } from '../fabric/table/networks.ts';
import { type Cidr, containsIP } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import { NftablesConnection } from '../nftables/connection.ts';

/** The fabric's table, as far as it is needed. */
interface MasqueradingTable {
  sync(facts: FabricTableFacts): boolean;
  remove(): void;
}

/** Who does what ipMasq wants. */
interface PodMasqueraders {
  settleMasquerade(): void;
}

/**
 * Who masquerades the pods, the fabric or ipMasq of the CNI plugins: at every moment somebody, and never
 * the fabric alone before its table serves.
 */
export class PodMasquerade {
  #isFabrics: (address: IP) => boolean;
  /** Those of the last `sync`; undefined before. */
  #networks: readonly Cidr[] | undefined;
  #direct: readonly Cidr[] = [];
  #ipMasq: PodMasqueraders | undefined;

  /** `isServed` tells what a table serves that a former agent has left. */
  constructor(isServed: (address: IP) => boolean) {
    this.#isFabrics = isServed;
  }

  /** Destinations that see addresses of pods whoever masquerades them; none before the first `sync`. */
  get direct(): readonly Cidr[] {
    return this.#direct;
  }

  /** Whether ipMasq has nothing to do for an address. */
  readonly isFabrics = (address: IP): boolean => this.#isFabrics(address);

  /** Settles what is on the node at once; without it nobody's ipMasq is in this process. */
  serve(ipMasq: PodMasqueraders): void {
    this.#ipMasq = ipMasq;
  }

  /**
   * Brings the table in line; gives whether there was anything to do. Throws NftablesError: ipMasq then
   * does what the table may have ceased to do, and the next call settles all of it.
   */
  sync(table: MasqueradingTable, facts: FabricTableFacts): boolean {
    const networks = masqueradedNetworks(facts);
    this.#direct = [...(facts.masquerade?.direct ?? []), ...ALWAYS_DIRECT];
    if (this.#networks?.join() === networks.join()) return table.sync(facts);
    this.#networks = undefined;
    const isNext = (address: IP) => networks.some((cidr) => containsIP(cidr, address));
    const isLast = this.#isFabrics;
    this.#settle((address) => isLast(address) && isNext(address));
    const wasChanged = table.sync(facts);
    this.#settle(isNext);
    this.#networks = networks;
    return wasChanged;
  }

  /** Takes the table away, once ipMasq does all that it did. Throws NftablesError. */
  remove(table: MasqueradingTable): void {
    this.#networks = undefined;
    this.#settle(() => false);
    table.remove();
  }

  #settle(isFabrics: (address: IP) => boolean): void {
    this.#isFabrics = isFabrics;
    this.#ipMasq?.settleMasquerade();
  }
}

/** With a fabric as a former agent has left it in the kernel. Throws NftablesError. */
export function openPodMasquerade(hasFabric: boolean): PodMasquerade {
  if (!hasFabric) return new PodMasquerade(() => false);
  const connection = NftablesConnection.open({ isLazy: true });
  try {
    return new PodMasquerade(readMasqueraded(connection));
  } finally {
    connection.close();
  }
}
